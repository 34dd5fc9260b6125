// The Result page: player, boxes, timeline, evidence, downloads.
import { drawBoxes } from "./boxes.js";
import { ask, pause, poll, Refused, trouble } from "./net.js";
import { Timeline } from "./timeline.js";
import { data, say, words } from "./words.js";

const at = (id) => document.getElementById(id);
const path = `/v1/analyses/${data.id}`;
const media = at("media");
const isClip = media instanceof HTMLVideoElement;

function startPlayer() {
  const boxes = at("boxes");
  let shown = -1;
  const draw = (force = false) => {
    if (!boxes || (!force && media.currentTime === shown)) return;
    shown = media.currentTime;
    drawBoxes(boxes, isClip ? media.currentTime : null);
  };
  at("show-boxes")?.addEventListener("change", (event) => {
    boxes.toggleAttribute("hidden", !event.target.checked);
  });
  const broken = () => {
    at("unplayable").textContent = isClip ? words.unplayable : words.unshown;
    at("unplayable").hidden = false;
    media.classList.add("broken");
  };
  media.addEventListener("error", broken);
  if (media.error || (!isClip && media.complete && media.naturalWidth === 0)) broken();
  draw(true);
  if (!isClip) return;
  const timeline = at("timeline") && new Timeline(at("timeline"), at("chosen-said"), (frame) => {
    // a little later than the frame starts, so that rounding cannot show the one before
    if (frame.t !== null) media.currentTime = frame.t + 0.001;
  });
  const first = () => {
    if (timeline && media.paused && media.currentTime === 0) timeline.seek(timeline.chosen);
  };
  if (media.readyState > 0) first();
  else media.addEventListener("loadedmetadata", first, { once: true });
  const follow = () => {
    timeline?.playing(media.currentTime);
    draw();
  };
  for (const name of ["timeupdate", "seeking", "seeked", "loadeddata"]) {
    media.addEventListener(name, follow);
  }
  const each = () => {
    follow();
    if (!media.paused && !media.ended) requestAnimationFrame(each);
  };
  media.addEventListener("play", each);
  at("frames-table")?.addEventListener("click", (event) => {
    const button = event.target.closest("[data-frame]");
    if (!button) return;
    timeline?.choose(Number(button.dataset.face), Number(button.dataset.frame));
  });
}

/** Ask for something that is made on demand until it is there. */
async function made(name) {
  let response = null;
  await poll(async () => {
    response = await ask(`${path}/${name}`);
    if (response.status !== 202) return true;
    await pause(Number(response.headers.get("Retry-After")) || 0);
    return false;
  });
  return response;
}

async function startEvidence() {
  const place = at("evidence");
  if (!place) return;
  if (!("ready" in place.dataset)) {
    at("evidence-said").textContent = words.making;
    try {
      await made("evidence.json");
      place.innerHTML = await (await ask(`/results/${data.id}/evidence`)).text();
      at("evidence-said").textContent = words.ready;
    } catch (error) {
      at("evidence-said").textContent = say("failed", { detail: error.message });
      return;
    }
  }
  place.addEventListener("input", (event) => {
    if (!event.target.matches(".strength")) return;
    const figure = event.target.closest(".heat");
    figure.querySelector(".layer").style.opacity = event.target.value / 100;
    figure.querySelector("output").textContent = say("heat_value", { percent: event.target.value });
  });
}

at("report")?.addEventListener("click", async (event) => {
  event.preventDefault();
  const link = event.currentTarget;
  at("report-said").textContent = words.report_wait;
  try {
    await made("evidence.json");
    at("report-said").textContent = words.report_ready;
    location.assign(link.href);
  } catch (error) {
    at("report-said").textContent = say("failed", { detail: error.message });
  }
});

at("delete").addEventListener("click", async () => {
  if (!confirm(words.delete_sure)) return;
  try {
    await ask(path, { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) {
      trouble(say("refused", { detail: error.message }));
      return;
    }
  }
  location.assign("/");
});

if (media) startPlayer();
startEvidence();
