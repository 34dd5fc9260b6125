// Two answers to one picture: both are shown, one of them or both together is chosen.
import { fill, say, words } from "../words.js";
import { Raster } from "./raster.js";

const at = (id) => document.getElementById(id);
const SIDE = 320;

/**
 * Ask which answer counts; gives "mine", "theirs", "union", or null for not now.
 * `mine` and `theirs` have `kind` and, of the kind mask, `raster`.
 */
export function choose(image, mine, theirs, latest) {
  const dialog = at("merge");
  const state = words[`state_${theirs.kind}`];
  const time = new Date(latest.time).toLocaleString();
  at("merge-text").textContent = say("merge_text", { annotator: latest.annotator, time, state });
  for (const [name, answer] of [["mine", mine], ["theirs", theirs]]) {
    const none = answer.kind === "mask" ? "" : words[`merge_${name}_none`];
    at(`merge-${name}-said`).textContent = fill(none, { state: words[`state_${answer.kind}`] });
    draw(at(`merge-${name}`), image, (k) => (answer.raster?.pixels[k] ? "full" : null));
  }
  const [ours, others] = [mine.raster?.pixels, theirs.raster?.pixels];
  draw(at("merge-both"), image, (k) => {
    if (ours?.[k]) return others?.[k] ? "full" : "stripes";
    return others?.[k] ? "dots" : null;
  });
  at("take-union").hidden = !(mine.raster && theirs.raster);
  return new Promise((done) => {
    const end = (choice) => {
      dialog.close();
      done(choice);
    };
    for (const choice of ["mine", "theirs", "union"]) {
      at(`take-${choice}`).onclick = () => end(choice);
    }
    at("merge-later").onclick = () => end(null);
    dialog.oncancel = (event) => {
      event.preventDefault();
      end(null);
    };
    dialog.showModal();
  });
}

/** An answer as `choose` takes it. */
export function answerOf(kind, mask) {
  if (kind !== "mask") return { kind };
  const raster = new Raster(mask.size[1], mask.size[0]);
  raster.setRuns(mask);
  return { kind, raster };
}

const PATTERNS = {
  full: () => true,
  stripes: (x, y) => (x + y) % 8 < 4,
  dots: (x, y) => x % 6 < 3 && y % 6 < 3,
};

function draw(canvas, image, look) {
  const scale = Math.min(1, SIDE / Math.max(image.width, image.height));
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 0.75;
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--mask");
  for (let y = 0; y < canvas.height; y += 1) {
    for (let x = 0; x < canvas.width; x += 1) {
      const [px, py] = [Math.floor((x + 0.5) / scale), Math.floor((y + 0.5) / scale)];
      const kind = look(py * image.width + px);
      if (kind && PATTERNS[kind](x, y)) context.fillRect(x, y, 1, 1);
    }
  }
}
