// Painting by mouse, pen, finger and keys.

const SIZES = [1, 120];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TOOLS = { b: "brush", e: "eraser", p: "polygon", h: "pan" };

export class Hand {
  /**
   * @param view the canvas.
   * @param told callbacks: `changed` after a finished change, `moved` with the cross-hair,
   *   `points` with the number of points of the polygon, `tool` and `size` when keys change them,
   *   `command` with the name of any other command.
   */
  constructor(view, told) {
    Object.assign(this, { view, told, tool: "brush", size: 16, last: null, drag: null, held: false });
    const { canvas } = view;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moving(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => this.up());
    }
    canvas.addEventListener("pointerleave", () => this.hover(false));
    canvas.addEventListener("pointerenter", () => this.hover(true));
    canvas.addEventListener("dblclick", () => this.close());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.keyDown(event));
    canvas.addEventListener("keyup", (event) => this.keyUp(event));
    canvas.addEventListener("blur", () => this.lift());
    canvas.addEventListener("focus", () => view.draw());
    this.setTool("brush");
  }

  get paints() {
    return this.tool === "brush" || this.tool === "eraser";
  }

  setTool(tool) {
    this.tool = tool;
    this.lift();
    this.view.canvas.dataset.tool = tool;
    this.setSize(this.size);
  }

  setSize(size) {
    this.size = Math.max(SIZES[0], Math.min(SIZES[1], Math.round(size)));
    this.view.radius = this.paints ? this.size / 2 : 0;
    this.view.draw();
  }

  hover(over) {
    this.view.hovered = over;
    this.view.draw();
  }

  point(at) {
    this.view.cursor = at;
    this.view.draw();
  }

  /** Paint from where the hand was to `at`. */
  paint(at) {
    const from = this.last ?? at;
    this.last = at;
    const value = this.tool === "brush" ? 1 : 0;
    this.view.changed(this.view.raster.stroke(...from, ...at, this.view.radius, value));
  }

  lift() {
    this.held = false;
    if (this.last === null) return;
    this.last = null;
    this.told.changed();
  }

  down(event) {
    if (!this.view.raster || event.button > 1) return;
    this.view.canvas.focus({ preventScroll: true });
    this.view.canvas.setPointerCapture(event.pointerId);
    const place = this.view.place(event);
    const at = this.view.inPicture(place);
    if (this.tool === "pan" || event.button === 1) this.drag = place;
    else if (this.tool === "polygon") this.add(at);
    else this.paint(at);
    this.point(at);
    event.preventDefault();
  }

  moving(event) {
    if (!this.view.raster) return;
    const place = this.view.place(event);
    if (this.drag) {
      this.view.move(place[0] - this.drag[0], place[1] - this.drag[1]);
      this.drag = place;
    } else if (this.last !== null) {
      for (const step of event.getCoalescedEvents?.() ?? [event]) {
        this.paint(this.view.inPicture(this.view.place(step)));
      }
    }
    this.point(this.view.inPicture(place));
  }

  up() {
    this.drag = null;
    this.lift();
  }

  wheel(event) {
    if (!this.view.raster) return;
    event.preventDefault();
    this.view.zoom(Math.exp(-event.deltaY / 400), ...this.view.place(event));
  }

  add(at) {
    this.view.points.push(at);
    this.told.points(this.view.points.length);
    this.view.draw();
  }

  /** Fill the polygon; fewer than three points are no area. */
  close() {
    const { points, raster } = this.view;
    if (points.length < 3) return;
    this.drop();
    raster.fill(points, 1);
    this.view.changed(raster.all);
    this.told.changed();
  }

  drop(count = this.view.points.length) {
    this.view.points = this.view.points.slice(0, this.view.points.length - count);
    this.told.points(this.view.points.length);
    this.view.draw();
  }

  keyDown(event) {
    if (!this.view.raster || event.altKey || event.metaKey) return;
    if (this.key(event)) event.preventDefault();
  }

  keyUp(event) {
    if (event.key === " ") this.lift();
  }

  key(event) {
    const { key, shiftKey, ctrlKey } = event;
    if (key in ARROWS) return this.arrow(ARROWS[key], shiftKey, ctrlKey);
    const small = key.toLowerCase();
    if (ctrlKey) {
      if (small !== "z" && small !== "y") return false;
      this.told.command(small === "y" || shiftKey ? "redo" : "undo");
      return true;
    }
    if (small in TOOLS) return this.told.tool(TOOLS[small]) ?? true;
    const step = Math.max(1, Math.round(this.size / 8));
    const actions = {
      " ": () => this.press(),
      "[": () => this.told.size(this.size - step),
      "]": () => this.told.size(this.size + step),
      "+": () => this.view.zoom(1.25),
      "=": () => this.view.zoom(1.25),
      "-": () => this.view.zoom(0.8),
      "0": () => this.view.fit(),
      enter: () => this.tool === "polygon" && this.add([...this.view.cursor]),
      backspace: () => this.drop(1),
      escape: () => this.drop(),
      c: () => this.close(),
    };
    if (small in actions) actions[small]();
    else return this.told.command(small);
    return true;
  }

  press() {
    if (this.held) return;
    this.held = true;
    if (this.tool === "polygon") this.add([...this.view.cursor]);
    else if (this.paints) this.paint([...this.view.cursor]);
  }

  arrow([dx, dy], fast, moves) {
    if (moves || this.tool === "pan") {
      this.view.move(-40 * dx, -40 * dy);
      return true;
    }
    const by = fast ? 10 : 1;
    const { width, height } = this.view.raster;
    const [x, y] = this.view.cursor;
    const at = [
      Math.max(0.5, Math.min(width - 0.5, Math.floor(x) + 0.5 + by * dx)),
      Math.max(0.5, Math.min(height - 0.5, Math.floor(y) + 0.5 + by * dy)),
    ];
    if (this.held && this.paints) this.paint(at);
    this.point(at);
    this.view.follow();
    this.told.moved(at);
    return true;
  }
}
