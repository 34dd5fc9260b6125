// The timeline: scored frames of every face, chosen by mouse or keys.
import { data, say } from "./words.js";

/** Frames with a place in the chart, as (face, frame) numbers. */
const placed = data.faces.map((face) => face.frames.some((frame) => frame.x !== null));

export class Timeline {
  /**
   * @param svg the chart, a slider.
   * @param said where the chosen frame is said.
   * @param seek called with the chosen frame.
   */
  constructor(svg, said, seek) {
    Object.assign(this, { svg, said, seek });
    this.mark = svg.querySelector("#chosen-mark");
    this.head = svg.querySelector("#playhead");
    this.face = Math.max(0, placed.indexOf(true));
    this.frame = 0;
    this.show();
    svg.addEventListener("click", (event) => this.click(event));
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  get frames() {
    return data.faces[this.face].frames;
  }

  get chosen() {
    return this.frames[this.frame];
  }

  choose(face, frame) {
    this.face = face;
    this.frame = Math.max(0, Math.min(frame, this.frames.length - 1));
    this.show();
    this.seek(this.chosen);
  }

  show() {
    const { x, y, time, index, score, quality } = this.chosen;
    const text = say("at", { face: data.faces[this.face].id, time, index, score, quality });
    this.mark.toggleAttribute("hidden", x === null);
    if (x !== null) this.mark.setAttribute("transform", `translate(${x} ${y})`);
    this.svg.setAttribute("aria-valuemax", this.frames.length - 1);
    this.svg.setAttribute("aria-valuenow", this.frame);
    this.svg.setAttribute("aria-valuetext", text);
    this.said.textContent = text;
  }

  /** Show where the clip is, in seconds. */
  playing(t) {
    const { x0, x1, t1 } = this.svg.dataset;
    const x = Number(x0) + (Number(x1) - x0) * Math.min(1, t / t1);
    this.head.setAttribute("transform", `translate(${x.toFixed(2)} 0)`);
  }

  /** The mark nearest to a click. */
  click(event) {
    const at = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(this.svg.getScreenCTM().inverse());
    let best = null;
    data.faces.forEach((face, f) => face.frames.forEach((frame, k) => {
      if (frame.x === null) return;
      // time counts more than score: a click below a mark means that moment
      const far = Math.hypot(frame.x - at.x, 0.35 * (frame.y - at.y));
      if (best === null || far < best.far) best = { far, f, k };
    }));
    if (best) this.choose(best.f, best.k);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.frames.length - 1;
    const steps = {
      ArrowRight: [0, 1], ArrowLeft: [0, -1], Home: [0, -this.frame], End: [0, last - this.frame],
      PageDown: [0, 10], PageUp: [0, -10], ArrowDown: [1, 0], ArrowUp: [-1, 0], Enter: [0, 0],
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const [other, by] = step;
    if (other) this.otherFace(other);
    else this.choose(this.face, this.frame + by);
  }

  /** The frame of the next face that is nearest in time. */
  otherFace(step) {
    const count = data.faces.length;
    const t = this.chosen.t;
    for (let k = 1; k <= count; k += 1) {
      const face = (this.face + step * k + count * k) % count;
      if (!placed[face]) continue;
      const far = data.faces[face].frames.map((frame) => Math.abs(frame.t - t));
      this.choose(face, far.indexOf(Math.min(...far)));
      return;
    }
  }
}
