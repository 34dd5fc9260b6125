// A mask as pixels: brush, polygon, run lengths. True where manipulated.

export class Raster {
  constructor(width, height) {
    Object.assign(this, { width, height, pixels: new Uint8Array(width * height) });
  }

  get all() {
    return [0, 0, this.width, this.height];
  }

  at(x, y) {
    return this.pixels[y * this.width + x] === 1;
  }

  count() {
    let sum = 0;
    for (const value of this.pixels) sum += value;
    return sum;
  }

  clear() {
    this.pixels.fill(0);
  }

  /**
   * A stroke of a round brush: every pixel whose centre is at most `radius` from the line.
   * Gives the part of the picture that may have changed: [x0, y0, x1, y1].
   */
  stroke(ax, ay, bx, by, radius, value) {
    const reach = Math.max(radius, 0.5);
    const part = this.within(Math.min(ax, bx) - reach, Math.min(ay, by) - reach,
      Math.max(ax, bx) + reach, Math.max(ay, by) + reach);
    const [dx, dy] = [bx - ax, by - ay];
    const length = dx * dx + dy * dy;
    for (let y = part[1]; y < part[3]; y += 1) {
      for (let x = part[0]; x < part[2]; x += 1) {
        const [px, py] = [x + 0.5 - ax, y + 0.5 - ay];
        const share = length ? Math.max(0, Math.min(1, (px * dx + py * dy) / length)) : 0;
        const [ex, ey] = [px - share * dx, py - share * dy];
        if (ex * ex + ey * ey <= reach * reach) this.pixels[y * this.width + x] = value;
      }
    }
    // the pixel under the hand always counts, however small the brush
    const [cx, cy] = [Math.floor(bx), Math.floor(by)];
    if (cx >= 0 && cy >= 0 && cx < this.width && cy < this.height) {
      this.pixels[cy * this.width + cx] = value;
    }
    return part;
  }

  /** Fill a polygon by the even-odd rule: a pixel is in it when its centre is. */
  fill(points, value) {
    const ys = points.map((p) => p[1]);
    const [, top, , bottom] = this.within(0, Math.min(...ys), 0, Math.max(...ys));
    for (let y = top; y < bottom; y += 1) {
      const cuts = [];
      points.forEach(([ax, ay], k) => {
        const [bx, by] = points[(k + 1) % points.length];
        const middle = y + 0.5;
        if ((ay <= middle) !== (by <= middle)) cuts.push(ax + ((middle - ay) / (by - ay)) * (bx - ax));
      });
      cuts.sort((a, b) => a - b);
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        const first = Math.max(0, Math.ceil(cuts[k] - 0.5));
        const last = Math.min(this.width, Math.ceil(cuts[k + 1] - 0.5));
        if (last > first) this.pixels.fill(value, y * this.width + first, y * this.width + last);
      }
    }
  }

  within(x0, y0, x1, y1) {
    const clip = (v, most) => Math.max(0, Math.min(most, v));
    return [clip(Math.floor(x0), this.width), clip(Math.floor(y0), this.height),
      clip(Math.ceil(x1) + 1, this.width), clip(Math.ceil(y1) + 1, this.height)];
  }

  /** COCO's run lengths: down the columns, those of False first. */
  runs() {
    const counts = [];
    let value = 0;
    let run = 0;
    for (let x = 0; x < this.width; x += 1) {
      for (let at = x; at < this.pixels.length; at += this.width) {
        if (this.pixels[at] !== value) {
          counts.push(run);
          run = 0;
          value = 1 - value;
        }
        run += 1;
      }
    }
    counts.push(run);
    return { size: [this.height, this.width], counts };
  }

  /** Take over run lengths of the same size. */
  setRuns({ size: [height, width], counts }) {
    if (height !== this.height || width !== this.width) throw new RangeError("size of the mask");
    this.pixels.fill(0);
    let place = 0;
    counts.forEach((run, k) => {
      if (k % 2 === 1) {
        for (let j = place; j < place + run; j += 1) {
          this.pixels[(j % height) * width + Math.floor(j / height)] = 1;
        }
      }
      place += run;
    });
  }

  /** Pixels that this mask or another one has. */
  union(other) {
    const both = new Raster(this.width, this.height);
    both.pixels.forEach((_, k) => { both.pixels[k] = this.pixels[k] | other.pixels[k]; });
    return both;
  }
}
