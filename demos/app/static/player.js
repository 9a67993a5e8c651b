// Plays the result while it is being made (Media Source Extensions), then from the finished file;
// the original beside it is kept at the same place.
const player = element.querySelector(".player");
const by = (selector) => player.querySelector(selector);
const overlay = by("video.overlay");
const original = by("video.original");
const seek = by(".seek");
const play = by(".play");
const notice = by(".notice");
const split = by(".split input");
// Seconds that are kept ready ahead of what is shown, and behind it when room is short.
const AHEAD_S = 60;
const BEHIND_S = 10;
// More than this apart, the original is brought back to the result's place.
const APART_S = 0.06;
let shown = {};
let ending = null;
let seeking = false;

const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
const once = (target, name) => new Promise((done) => target.addEventListener(name, done, { once: true }));
const length = () => shown.length_s || (Number.isFinite(overlay.duration) ? overlay.duration : 0);
const compares = () => player.dataset.mode !== "overlay";

function say(text) {
  notice.textContent = text;
  notice.hidden = text === "";
}

async function append(buffer, video, part, signal) {
  for (;;) {
    const ready = video.buffered.length ? video.buffered.end(video.buffered.length - 1) : 0;
    if (signal.aborted) return;
    if (ready - video.currentTime < AHEAD_S) {
      try {
        buffer.appendBuffer(part);
        await once(buffer, "updateend");
        return;
      } catch (error) {
        if (error.name !== "QuotaExceededError") throw error;
        const old = video.currentTime - BEHIND_S;
        if (old > video.buffered.start(0)) {
          buffer.remove(0, old);
          await once(buffer, "updateend");
          continue;
        }
      }
    }
    await new Promise((done) => setTimeout(done, 250));
  }
}

// Shows a file that is still being written.
async function follow(video, address, signal) {
  const reply = await fetch(address, { signal });
  if (!reply.ok) return;
  const kind = reply.headers.get("content-type");
  if (!window.MediaSource || !MediaSource.isTypeSupported(kind)) {
    say("This browser shows the result when it is finished.");
    return;
  }
  const source = new MediaSource();
  const link = URL.createObjectURL(source);
  video.src = link;
  await once(source, "sourceopen");
  URL.revokeObjectURL(link);
  const buffer = source.addSourceBuffer(kind);
  const reader = reply.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done || signal.aborted) break;
    await append(buffer, video, value, signal);
  }
  if (!signal.aborted && source.readyState === "open") source.endOfStream();
}

function reset() {
  ending?.abort();
  ending = new AbortController();
  for (const video of [overlay, original]) {
    video.pause();
    video.removeAttribute("src");
    video.removeAttribute("poster");
    video.load();
  }
  seek.value = 0;
}

// The finished file takes the place of the stream where it was.
async function finish(video, address, place, playing) {
  video.src = address;
  await once(video, "loadedmetadata");
  video.currentTime = Math.min(place, video.duration || 0);
  if (playing) await video.play().catch(() => {});
}

function begin() {
  const base = `${shown.prefix}/growing/${shown.token}`;
  const { signal } = ending;
  const quiet = (error) => { if (error.name !== "AbortError") console.warn("stream", error); };
  follow(overlay, `${base}/${shown.overlay}`, signal).catch(quiet);
  follow(original, `${base}/${shown.original}`, signal).catch(quiet);
  overlay.addEventListener("loadeddata", () => {
    say("");
    overlay.play().catch(() => {});
  }, { once: true, signal });
}

function update() {
  const before = shown;
  shown = props.value ?? {};
  const active = shown.state === "running" || shown.state === "finished";
  if (shown.token !== before.token) reset();
  player.classList.toggle("empty", !active);
  by(".sound").hidden = !shown.sound;
  for (const control of [play, seek]) control.disabled = !active;
  seek.max = length() || 1;
  if (shown.width) player.style.setProperty("--shape", `${shown.width} / ${shown.height}`);
  if (active && shown.poster && !overlay.poster) {
    overlay.poster = `${shown.prefix}/media/${shown.token}/${shown.poster}`;
    say("");
  }
  if (!active) say(shown.notice ?? "");
  if (shown.state === "running" && (before.state !== "running" || before.token !== shown.token)) {
    if (!shown.poster) say("The first pictures are on their way.");
    begin();
  }
  if (shown.state === "finished" && (before.state !== "finished" || before.token !== shown.token)) {
    const place = overlay.ended ? 0 : overlay.currentTime;
    const playing = !overlay.paused && !overlay.ended;
    ending.abort();
    const base = `${shown.prefix}/media/${shown.token}`;
    finish(overlay, `${base}/${shown.final_overlay}`, place, playing || place === 0).catch(() => {});
    finish(original, `${base}/${shown.final_original}`, place, false).then(align).catch(() => {});
    say("");
  }
  tell();
}

function tell() {
  if (!seeking) seek.value = overlay.currentTime;
  seek.style.setProperty("--done", `${(100 * seek.value) / seek.max}%`);
  seek.setAttribute("aria-valuetext", clock(overlay.currentTime));
  by(".time").textContent = `${clock(overlay.currentTime)} / ${clock(length())}`;
  document.dispatchEvent(new CustomEvent("pranet-time", { detail: overlay.currentTime }));
}

function align() {
  if (!compares() || !original.readyState) return;
  if (overlay.paused || Math.abs(original.currentTime - overlay.currentTime) > APART_S) {
    if (original.currentTime !== overlay.currentTime) original.currentTime = overlay.currentTime;
  }
  if (overlay.paused !== original.paused) {
    if (overlay.paused) original.pause();
    else original.play().catch(() => {});
  }
}

function go(place) {
  overlay.currentTime = Math.max(0, Math.min(place, length()));
  align();
  tell();
}

play.addEventListener("click", () => {
  if (overlay.paused) overlay.play().catch(() => {});
  else overlay.pause();
});
for (const name of ["play", "pause", "ended"]) {
  overlay.addEventListener(name, () => {
    const going = !overlay.paused && !overlay.ended;
    play.textContent = going ? "❚❚" : "▶";
    play.setAttribute("aria-label", going ? "Pause" : "Play");
    if (compares()) align();
    else original.pause();
  });
}
for (const name of ["timeupdate", "seeked", "loadeddata"]) overlay.addEventListener(name, () => { align(); tell(); });
original.addEventListener("loadeddata", align);
seek.addEventListener("input", () => { seeking = true; go(Number(seek.value)); });
seek.addEventListener("change", () => { seeking = false; });
by(".sound").addEventListener("click", () => {
  overlay.muted = !overlay.muted;
  by(".sound").setAttribute("aria-pressed", String(!overlay.muted));
});
player.addEventListener("change", (event) => {
  if (event.target.name !== "mode") return;
  player.dataset.mode = event.target.value;
  if (compares()) align();
  else original.pause();
});

function divide(percent) {
  split.value = percent;
  player.style.setProperty("--split", `${percent}%`);
}
split.addEventListener("input", () => divide(split.value));
by(".stage").addEventListener("pointerdown", (event) => {
  if (player.dataset.mode !== "slider") {
    if (shown.state && event.target.closest("video")) play.click();
    return;
  }
  const move = (at) => {
    const frame = by(".stage").getBoundingClientRect();
    divide(Math.max(0, Math.min(100, (100 * (at.clientX - frame.left)) / frame.width)));
  };
  event.currentTarget.setPointerCapture(event.pointerId);
  move(event);
  const stage = event.currentTarget;
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", () => stage.removeEventListener("pointermove", move), { once: true });
});
document.addEventListener("pranet-seek", (event) => {
  go(event.detail);
  player.scrollIntoView({ block: "nearest", behavior: "smooth" });
});
watch("value", update);
update();
