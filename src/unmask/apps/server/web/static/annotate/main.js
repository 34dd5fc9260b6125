// The Annotate page: one picture at a time from the queue, painted, kept as a draft, answered.
import { ask, get, post, Refused, trouble } from "../net.js";
import { data, say, words } from "../words.js";
import * as drafts from "./drafts.js";
import { Hand } from "./hand.js";
import { History } from "./history.js";
import { mapOf } from "./map.js";
import { answerOf, choose } from "./merge.js";
import { Queue } from "./queue.js";
import { Raster } from "./raster.js";
import { View } from "./view.js";

const at = (id) => document.getElementById(id);
const path = (picture, rest = "") => `/v1/annotation/pictures/${picture.sha256}${rest}`;
const clock = (time) => new Date(time).toLocaleTimeString();
const COMMANDS = {
  z: "undo", y: "redo", a: "accept", n: "no_forgery", s: "skipped", j: "next", k: "previous", m: "map",
};

const view = new View(at("canvas"));
const queue = new Queue((item) => open(item));
const hand = new Hand(view, {
  changed,
  moved: tellCursor,
  points: (n) => { at("cursor").textContent = n ? say("poly", { n }) : ""; },
  tool: setTool,
  size: setSize,
  command,
});
let picture = null; // state of the picture, with `blob` and `image`
let history = null;
let seen = 0; // revision that the mask in hand goes back to
let busy = false;

async function open(item) {
  if (busy) return;
  busy = true;
  trouble(null);
  at("state").textContent = say("loading", item);
  try {
    const state = await get(path(item));
    const blob = await (await ask(path(item, "/image.png"))).blob();
    picture = { ...state, blob, image: await createImageBitmap(blob) };
    queue.show(item);
    start();
  } catch (error) {
    trouble(error.message);
  } finally {
    busy = false;
  }
}

/** Put the stored answer, or the draft that is later, on the canvas. */
function start() {
  const raster = new Raster(picture.width, picture.height);
  if (picture.answer?.mask) raster.setRuns(picture.answer.mask);
  history = new History(raster);
  seen = picture.revision;
  view.open(picture.image, raster);
  hand.drop();
  at("map").checked = false;
  at("map-said").textContent = "";
  at("note").value = "";
  const kind = picture.answer?.kind ?? "open";
  at("state").textContent = say("loaded", { ...picture, state: words[`state_${kind}`] });
  at("real").hidden = !picture.real;
  at("real").textContent = words.real;
  at("accept").disabled = picture.real;
  at("draft").textContent = words.draft_none;
  restoreDraft();
  tell();
}

function restoreDraft() {
  const draft = drafts.recall(picture.sha256);
  if (!draft) return;
  try {
    view.raster.setRuns(draft.mask);
  } catch {
    return drafts.forget(picture.sha256);
  }
  history.keep();
  view.changed(view.raster.all);
  seen = draft.revision;
  const values = { time: clock(draft.time), revision: seen, annotator: picture.answer?.annotator };
  at("draft").textContent = say(seen === picture.revision ? "draft_back" : "draft_old", values);
}

/** After every finished change: one step of undo, and the draft. */
function changed() {
  if (history.keep()) keepDraft();
  tell();
}

function keepDraft() {
  const time = Date.now();
  const kept = drafts.keep(picture.sha256, { revision: seen, time, mask: history.now });
  at("draft").textContent = kept ? say("draft", { time: clock(time) }) : words.draft_full;
}

function tell() {
  const n = view.raster.count();
  const share = (100 * n) / (picture.width * picture.height);
  at("area").textContent = say("area", { n, percent: share.toFixed(share < 10 ? 1 : 0) });
  at("undo").disabled = history.past.length === 0;
  at("redo").disabled = history.future.length === 0;
}

function tellCursor([x, y]) {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  const state = words[view.raster.at(column, row) ? "marked" : "unmarked"];
  at("cursor").textContent = say("cursor", { x: column, y: row, state });
}

function turn(step) {
  if (!history?.[step]()) return;
  view.changed(view.raster.all);
  keepDraft();
  tell();
}

/** Give an answer; on a conflict both are shown, and the choice is given again. */
async function answer(kind, revision = seen, mask = kind === "mask" ? history.now : null) {
  const annotator = at("who").value.trim();
  if (!data.named && !annotator) {
    trouble(words.nobody);
    return at("who").focus();
  }
  if (kind === "mask" && view.points.length) return trouble(words.unfinished);
  if (kind === "mask" && mask.counts.length < 2) return trouble(words.empty);
  trouble(null);
  const body = { kind, revision, mask, note: at("note").value.trim() };
  if (!data.named) body.annotator = annotator;
  try {
    const stored = await (await post(path(picture, "/answers"), body)).json();
    await finished(say("saved", { state: words[`state_${kind}`], revision: stored.revision }));
  } catch (error) {
    if (error instanceof Refused && error.status === 409 && error.body?.latest) {
      return merge(kind, mask, error.body.latest);
    }
    trouble(say("refused", { detail: error.message }));
  }
}

async function merge(kind, mask, latest) {
  const [mine, theirs] = [answerOf(kind, mask), answerOf(latest.kind, latest.mask)];
  const choice = await choose(picture.image, mine, theirs, latest);
  if (choice === "mine") return answer(kind, latest.revision, mask);
  if (choice === "union") return answer("mask", latest.revision, mine.raster.union(theirs.raster).runs());
  if (choice === "theirs") {
    const state = words[`state_${latest.kind}`];
    return finished(say("saved", { state, revision: latest.revision }));
  }
  return at("canvas").focus();
}

/** The picture is answered: forget the draft and go on to the next open one. */
async function finished(text) {
  drafts.forget(picture.sha256);
  await queue.refresh();
  const next = queue.next(1, true);
  if (next) await open(next);
  else await open(queue.current);
  at("draft").textContent = next ? text : `${text} ${words.done}`;
  at("canvas").focus({ preventScroll: true });
}

function go(step) {
  const item = queue.next(step);
  if (item) open(item);
}

/** A letter or a name of a command; false where it is none. */
function command(name) {
  const id = COMMANDS[name] ?? name;
  const button = Object.values(COMMANDS).includes(id) && at(id);
  if (button && !button.disabled) button.click();
  return Boolean(button);
}

function setTool(tool) {
  document.querySelector(`[name=tool][value=${tool}]`).checked = true;
  hand.setTool(tool);
}

function setSize(size) {
  hand.setSize(size);
  at("size").value = hand.size;
  at("size-said").textContent = hand.size;
}

async function toggleMap(event) {
  const asked = picture;
  if (!event.target.checked) {
    view.map = null;
    at("map-said").textContent = "";
    return view.draw();
  }
  at("map-said").textContent = words.map_making;
  try {
    asked.map ??= (await mapOf(asked, asked.blob)) ?? "none";
    if (asked !== picture || !at("map").checked) return;
    view.map = asked.map === "none" ? null : asked.map;
    at("map-said").textContent = asked.map === "none" ? words.map_none : words.map_ready;
    view.draw();
  } catch (error) {
    if (asked === picture) at("map-said").textContent = say("map_failed", { detail: error.message });
  }
}

async function readMask(event) {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file || !picture) return;
  const kind = file.name.toLowerCase().endsWith(".json") ? "application/json" : "image/png";
  try {
    const response = await ask(path(picture, "/decode"), {
      method: "POST", headers: { "Content-Type": kind }, body: file,
    });
    view.raster.setRuns(await response.json());
    view.changed(view.raster.all);
    changed();
    at("draft").textContent = say("read", { name: file.name });
    trouble(null);
  } catch (error) {
    trouble(error.message);
  }
}

function download(blob, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = picture.picture.split("/").pop().replace(/\.\w+$/, "") + suffix;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** What is on the canvas, black and white at the picture's size. */
async function savePng() {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const made = new ImageData(picture.width, picture.height);
  view.raster.pixels.forEach((on, k) => made.data.set([255 * on, 255 * on, 255 * on, 255], 4 * k));
  canvas.getContext("2d").putImageData(made, 0, 0);
  download(await canvas.convertToBlob({ type: "image/png" }), ".png");
}

const saveRle = () =>
  download(new Blob([JSON.stringify(view.raster.runs())], { type: "application/json" }), ".rle.json");

function listen() {
  const clicks = {
    undo: () => turn("undo"),
    redo: () => turn("redo"),
    clear: () => { view.raster.clear(); view.changed(view.raster.all); changed(); },
    "zoom-in": () => view.zoom(1.25),
    "zoom-out": () => view.zoom(0.8),
    fit: () => view.fit(),
    accept: () => answer("mask"),
    no_forgery: () => answer("no_forgery"),
    skipped: () => answer("skipped"),
    previous: () => go(-1),
    next: () => go(1),
    "save-png": savePng,
    "save-rle": saveRle,
  };
  for (const [id, act] of Object.entries(clicks)) {
    at(id).addEventListener("click", () => picture && act());
  }
  for (const radio of document.querySelectorAll("[name=tool]")) {
    radio.addEventListener("change", () => hand.setTool(radio.value));
  }
  at("size").addEventListener("input", (event) => setSize(Number(event.target.value)));
  at("strength").addEventListener("input", (event) => {
    view.strength = event.target.value / 100;
    view.draw();
  });
  at("map").addEventListener("change", toggleMap);
  at("read").addEventListener("change", readMask);
  at("who").value = drafts.recallName();
  at("who").addEventListener("change", () => drafts.keepName(at("who").value.trim()));
}

async function begin() {
  listen();
  setSize(hand.size);
  try {
    await queue.refresh();
    const first = queue.items.find((item) => item.state === "open") ?? queue.items[0];
    if (first) await open(first);
    else at("state").textContent = words.none;
  } catch (error) {
    trouble(error.message);
  }
}

begin();
