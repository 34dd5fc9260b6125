// The list of chosen pictures, and how far it is against its budget.
import { get } from "../net.js";
import { breakable, say, words } from "../words.js";

const at = (id) => document.getElementById(id);
const SHAPES = { open: "○", mask: "■", no_forgery: "—", skipped: "»" };
const PAGE = 500;

export class Queue {
  /** @param open called with the entry that somebody chose. */
  constructor(open) {
    Object.assign(this, { open, items: [], current: null });
    at("rule").addEventListener("change", () => this.refresh());
    at("only-open").addEventListener("change", () => this.draw());
  }

  /** Read the whole queue again. */
  async refresh() {
    const items = [];
    let page = { next: 0 };
    do {
      page = await get(`/v1/annotation/queue?limit=${PAGE}&after=${page.next}`);
      items.push(...page.items);
    } while (page.next);
    this.all = items;
    this.tell(page.progress);
    const rule = at("rule").value;
    this.items = items.filter((item) => !rule || item.rule === rule);
    this.draw();
  }

  tell(progress) {
    const rule = at("rule").value;
    const known = Array.from(at("rule").options, (option) => option.value);
    for (const { rule: name } of progress) {
      if (!known.includes(name)) at("rule").append(new Option(name, name));
    }
    const counted = progress.filter((one) => !rule || one.rule === rule);
    const total = counted.reduce((sum, one) => sum + one.selected, 0);
    const n = total - counted.reduce((sum, one) => sum + one.open, 0);
    at("bar").max = Math.max(1, total);
    at("bar").value = n;
    at("answered").textContent = total ? say("answered", { n, total }) : words.none;
  }

  draw() {
    const only = at("only-open").checked;
    const shown = this.items.filter((item) => !only || item.state === "open" || item === this.current);
    at("queue").replaceChildren(...shown.map((item) => this.line(item)));
  }

  line(item) {
    const button = document.createElement("button");
    button.type = "button";
    const state = words[`state_${item.state}`];
    const by = item.annotator ? say("by", { state, annotator: item.annotator }) : state;
    button.setAttribute("aria-label", say("item", { ...item, state: by }));
    const shape = Object.assign(document.createElement("span"), { textContent: SHAPES[item.state] });
    shape.className = "shape";
    const name = document.createElement("bdi");
    name.append(...breakable(item.picture));
    const said = Object.assign(document.createElement("span"), { className: "small", textContent: by });
    button.append(shape, name, said);
    if (item.sha256 === this.current?.sha256) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.open(item));
    const entry = document.createElement("li");
    entry.append(button);
    return entry;
  }

  show(item) {
    this.current = item;
    this.draw();
  }

  /** The entry `step` places on; with `open` the next one that is open, from the start again. */
  next(step = 1, open = false) {
    const place = this.items.findIndex((item) => item.sha256 === this.current?.sha256);
    if (!open) return this.items[place + step] ?? null;
    const turned = [...this.items.slice(place + 1), ...this.items.slice(0, place + 1)];
    return turned.find((item) => item.state === "open") ?? null;
  }
}
