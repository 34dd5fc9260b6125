// The canvas: picture, model's map, mask, polygon and cross-hair, zoomed and moved.

const colour = (name) => {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const hex = probe.fillStyle;
  return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
};

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    Object.assign(this, { scale: 1, left: 0, top: 0, strength: 0.55, image: null, map: null });
    Object.assign(this, { raster: null, points: [], cursor: null, radius: 8, queued: false });
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
  }

  /** Show another picture with its mask. */
  open(image, raster) {
    Object.assign(this, { image, raster, map: null, points: [] });
    this.layer = new OffscreenCanvas(raster.width, raster.height);
    this.cursor = [raster.width / 2, raster.height / 2];
    this.changed(raster.all);
    this.fit();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    const fine = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(width * fine));
    this.canvas.height = Math.max(1, Math.round(height * fine));
    if (this.raster && !this.touched) this.fit();
    this.draw();
  }

  fit() {
    const { width, height } = this.raster;
    this.scale = 0.97 * Math.min(this.canvas.width / width, this.canvas.height / height);
    this.left = (this.canvas.width - width * this.scale) / 2;
    this.top = (this.canvas.height - height * this.scale) / 2;
    this.touched = false;
    this.draw();
  }

  /** Zoom about a place of the canvas, its middle unless told. */
  zoom(by, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const scale = Math.max(0.05, Math.min(64, this.scale * by));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.touched = true;
    this.draw();
  }

  move(x, y) {
    this.left += x;
    this.top += y;
    this.touched = true;
    this.draw();
  }

  /** Where an event is, in pixels of the canvas. */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const fine = this.canvas.width / box.width;
    return [(event.clientX - box.left) * fine, (event.clientY - box.top) * fine];
  }

  /** A place of the canvas in pixels of the picture. */
  inPicture([x, y]) {
    return [(x - this.left) / this.scale, (y - this.top) / this.scale];
  }

  /** Move the picture so that the cross-hair is seen. */
  follow() {
    const [x, y] = [this.left + this.cursor[0] * this.scale, this.top + this.cursor[1] * this.scale];
    const rim = 0.1 * Math.min(this.canvas.width, this.canvas.height);
    const out = (at, most) => Math.max(rim - at, 0) + Math.min(most - rim - at, 0);
    const [dx, dy] = [out(x, this.canvas.width), out(y, this.canvas.height)];
    if (dx || dy) this.move(dx, dy);
  }

  /** Colour a part of the mask again: filled, with an edge that stays at any strength. */
  changed([x0, y0, x1, y1]) {
    const { raster, layer } = this;
    const [left, top] = [Math.max(0, x0 - 1), Math.max(0, y0 - 1)];
    const [right, bottom] = [Math.min(raster.width, x1 + 1), Math.min(raster.height, y1 + 1)];
    if (right <= left || bottom <= top) return;
    const part = new ImageData(right - left, bottom - top);
    const fill = colour("--mask");
    const is = (x, y) => x >= 0 && y >= 0 && x < raster.width && y < raster.height && raster.at(x, y);
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) {
        if (!raster.at(x, y)) continue;
        const inner = is(x - 1, y) && is(x + 1, y) && is(x, y - 1) && is(x, y + 1);
        part.data.set([...fill, inner ? 150 : 255], 4 * ((y - top) * part.width + x - left));
      }
    }
    layer.getContext("2d").putImageData(part, left, top);
    this.draw();
  }

  draw() {
    if (this.queued || !this.raster) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      this.paint();
    });
  }

  paint() {
    const { context: c, canvas, scale } = this;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, canvas.width, canvas.height);
    c.setTransform(scale, 0, 0, scale, this.left, this.top);
    c.imageSmoothingEnabled = scale < 2;
    c.drawImage(this.image, 0, 0);
    if (this.map) c.drawImage(this.map, 0, 0);
    c.globalAlpha = this.strength;
    c.imageSmoothingEnabled = false;
    c.drawImage(this.layer, 0, 0);
    c.globalAlpha = 1;
    this.paintPolygon();
    if (document.activeElement === canvas || this.hovered) this.paintCursor();
  }

  twice(draw, width) {
    // a light line on a dark one is seen on any picture
    for (const [style, wide] of [["#10131a", 3], ["#ffffff", 1.2]]) {
      this.context.strokeStyle = style;
      this.context.lineWidth = (wide * width) / this.scale;
      this.context.beginPath();
      draw(this.context);
      this.context.stroke();
    }
  }

  paintPolygon() {
    if (this.points.length === 0) return;
    const fine = window.devicePixelRatio || 1;
    this.twice((c) => {
      this.points.forEach(([x, y], k) => (k ? c.lineTo(x, y) : c.moveTo(x, y)));
      if (this.cursor) c.lineTo(...this.cursor);
    }, fine);
    this.twice((c) => this.points.forEach(([x, y]) => {
      const r = (4 * fine) / this.scale;
      c.moveTo(x + r, y);
      c.arc(x, y, r, 0, 7);
    }), fine);
  }

  paintCursor() {
    const fine = window.devicePixelRatio || 1;
    const [x, y] = this.cursor;
    const arm = (7 * fine) / this.scale;
    this.twice((c) => {
      if (this.radius > 0) c.arc(x, y, Math.max(this.radius, 0.5), 0, 7);
      c.moveTo(x - arm, y);
      c.lineTo(x + arm, y);
      c.moveTo(x, y - arm);
      c.lineTo(x, y + arm);
    }, fine);
  }
}
