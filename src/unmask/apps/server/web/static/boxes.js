// Boxes of the scored faces over the picture or clip.
import { data, say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const ON_FRAME = 0.021; // seconds: half a frame at 24 frames a second

const make = (name, values) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
  return node;
};

/** Where a face is at time `t`: its box, whether it was scored there, and the frame; or null. */
export function placeOf(frames, t) {
  if (t === null || frames[0].t === null) return { box: frames[0].box, scored: true, frame: frames[0] };
  const next = frames.findIndex((frame) => frame.t >= t - ON_FRAME);
  if (next < 0) return null;
  const after = frames[next];
  if (Math.abs(after.t - t) <= ON_FRAME) return { box: after.box, scored: true, frame: after };
  const before = frames[next - 1];
  if (!before) return null;
  const share = (t - before.t) / (after.t - before.t);
  const box = before.box.map((v, k) => v + share * (after.box[k] - v));
  return { box, scored: false, frame: before };
}

/** Draw the boxes of all faces at time `t` (null: a still) into an SVG over the picture. */
export function drawBoxes(svg, t) {
  const unit = Math.max(data.width, data.height) / 320;
  const drawn = data.faces.flatMap((face) => {
    const place = placeOf(face.frames, t);
    return place ? [boxOf(face, place, unit)] : [];
  });
  svg.replaceChildren(...drawn);
}

function boxOf(face, { box, scored, frame }, unit) {
  const group = make("g", { class: `box c${face.colour}${scored ? "" : " between"}` });
  const [x, y] = box;
  const place = { x, y, width: Math.max(1, box[2] - x), height: Math.max(1, box[3] - y) };
  group.append(make("rect", { ...place, class: "under", "stroke-width": 3 * unit }));
  const dash = scored ? {} : { "stroke-dasharray": `${5 * unit} ${4 * unit}` };
  group.append(make("rect", { ...place, class: "line", "stroke-width": 1.4 * unit, ...dash }));
  const side = 8.5 * unit;
  const score = scored ? frame.score : "–";
  const words = say("face", { face: face.id, score });
  const width = (0.66 * words.length + 0.8) * side;
  const left = Math.max(0, Math.min(x, data.width - width));
  const top = y >= 1.5 * side ? y - 1.5 * side : y;
  group.append(make("rect", { x: left, y: top, width, height: 1.5 * side, class: "plate" }));
  const label = make("text", { x: left + 0.4 * side, y: top + 1.08 * side, "font-size": side });
  label.textContent = words;
  group.append(label);
  return group;
}
