// Shows the live pictures at full rate, and what the engine says of them. A camera of this browser
// is sent to the server picture by picture; the next one goes out when the last has arrived.
const live = element.querySelector(".live");
const by = (selector) => live.querySelector(selector);
const picture = by("img");
const camera = by("video");
const POLL_MS = 500;
// A picture that stands still must never look like a live one.
const SILENT_MS = 1000;
const JPEG_QUALITY = 0.85;
let run = {};
let timer = null;

const base = () => `${run.prefix}/live/${run.token}`;

function say(text) {
  by(".notice").textContent = text;
  by(".notice").hidden = text === "";
  by(".stage").classList.toggle("stale", text !== "");
}

function show(state, kind, figures = {}) {
  const ms = (value) => (value == null ? "–" : `${value.toFixed(0)} ms`);
  by(".state").textContent = state.replace("_", " ");
  by(".state").className = `state ${kind}`;
  by(".fps").textContent = figures.fps == null ? "–" : `${figures.fps.toFixed(1)} fps`;
  by(".delay").textContent = ms(figures.delay_ms);
  by(".age").textContent = ms(figures.mask_age_ms);
  by(".objects").textContent = figures.objects ?? "–";
}

function stop(reason) {
  clearTimeout(timer);
  timer = null;
  picture.removeAttribute("src");
  picture.hidden = true;
  camera.srcObject?.getTracks().forEach((track) => track.stop());
  camera.srcObject = null;
  show("STOPPED", "off");
  say(reason);
}

async function poll(mine) {
  if (mine !== run) return;
  try {
    const reply = await fetch(`${base()}/figures`, { signal: AbortSignal.timeout(4 * POLL_MS) });
    if (!reply.ok) throw new Error(reply.status);
    const figures = await reply.json();
    if (mine !== run) return;
    if (figures.state === "STOPPED") {
      stop(`Ended: ${figures.reason}`);
      return;
    }
    const silent = figures.silent_ms > SILENT_MS;
    show(figures.state, silent ? "bad" : { RUNNING: "good", WARMING: "" }[figures.state] ?? "bad", figures);
    if (figures.silent_ms == null) say("Waiting for the picture");
    else if (silent) say(`No picture for ${Math.round(figures.silent_ms / 1000)} s`);
    else say("");
  } catch {
    if (mine !== run) return;
    show("NO CONNECTION", "bad");
    say("No connection to the server");
  }
  timer = setTimeout(() => poll(mine), POLL_MS);
}

async function sendCamera(mine) {
  if (!navigator.mediaDevices) {
    say("This browser gives its camera to pages of this machine or over HTTPS only.");
    return;
  }
  try {
    camera.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720, frameRate: 30 } });
  } catch (error) {
    stop(`The camera cannot be used: ${error.message}`);
    return;
  }
  await camera.play();
  const canvas = document.createElement("canvas");
  const brush = canvas.getContext("2d");
  while (mine === run && camera.srcObject) {
    await new Promise((done) => camera.requestVideoFrameCallback ? camera.requestVideoFrameCallback(done) : requestAnimationFrame(done));
    if (mine !== run || !camera.srcObject) break;
    canvas.width = camera.videoWidth;
    canvas.height = camera.videoHeight;
    brush.drawImage(camera, 0, 0);
    const jpeg = await new Promise((done) => canvas.toBlob(done, "image/jpeg", JPEG_QUALITY));
    try {
      await fetch(`${base()}/webcam`, { method: "POST", body: jpeg });
    } catch { /* the figures tell that the server is gone */ }
  }
}

function update() {
  const value = props.value ?? {};
  if (value.token === run.token) return;
  run = value;
  stop(value.notice ?? "");
  if (!run.token) return;
  picture.src = `${base()}/picture`;
  picture.hidden = false;
  say("The engine is getting ready");
  show("WARMING", "");
  poll(run);
  if (run.camera) sendCamera(run);
}
// A stream that breaks off is asked for again.
picture.addEventListener("error", () => {
  const mine = run;
  if (run.token) setTimeout(() => { if (mine === run) picture.src = `${base()}/picture?again=${Date.now()}`; }, POLL_MS);
});
watch("value", update);
update();
