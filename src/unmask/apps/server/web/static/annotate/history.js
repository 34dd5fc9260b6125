// Undo and redo over whole masks, kept as run lengths.
const MOST = 200;

export class History {
  constructor(raster) {
    this.raster = raster;
    this.past = [];
    this.future = [];
    this.now = raster.runs();
  }

  /** Call after a change: what was before can be had again. */
  keep() {
    const made = this.raster.runs();
    if (made.counts.join() === this.now.counts.join()) return false;
    this.past = [...this.past, this.now].slice(-MOST);
    this.future = [];
    this.now = made;
    return true;
  }

  undo() {
    return this.go(this.past, this.future);
  }

  redo() {
    return this.go(this.future, this.past);
  }

  go(from, to) {
    if (from.length === 0) return false;
    to.push(this.now);
    this.now = from.pop();
    this.raster.setRuns(this.now);
    return true;
  }
}
