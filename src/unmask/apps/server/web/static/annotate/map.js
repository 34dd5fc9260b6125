// The model's map of a picture: analysed like any upload, and deleted again.
import { ask, freshKey, get, poll } from "../net.js";
import { send } from "../upload.js";

/** A canvas of the picture's size with the heat of every face; null where there is no face. */
export async function mapOf(picture, blob) {
  const file = new File([blob], `${picture.sha256.slice(0, 16)}.png`, { type: "image/png" });
  const made = await send(file, { key: freshKey(), evidence: true });
  const path = `/v1/analyses/${made.id}`;
  try {
    let job = null;
    await poll(async () => {
      job = await get(path);
      return !["queued", "running"].includes(job.state);
    });
    if (job.state !== "done" || job.result.faces.length === 0) return null;
    let evidence = null;
    await poll(async () => {
      const response = await ask(`${path}/evidence.json`);
      if (response.status === 200) evidence = await response.json();
      return evidence !== null;
    });
    return await laid(picture, path, evidence.faces);
  } finally {
    ask(path, { method: "DELETE" }).catch(() => {}); // retention takes it otherwise
  }
}

async function laid(picture, path, faces) {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d");
  for (const face of faces) {
    const heat = await createImageBitmap(await (await ask(`${path}/faces/${face.id}/heat.png`)).blob());
    const [x0, y0, x1, y1] = face.crop_box;
    context.save();
    context.translate((x0 + x1) / 2, (y0 + y1) / 2);
    context.rotate((face.quarter_turns * Math.PI) / 2);
    context.drawImage(heat, (x0 - x1) / 2, (y0 - y1) / 2, x1 - x0, y1 - y0);
    context.restore();
  }
  return canvas;
}
