// Sends one file to the server as it is, and tells Gradio its token.
const { kind, max_bytes: maxBytes, prefix } = props.value;
const zone = element.querySelector(".dropzone");
const input = zone.querySelector("input");
const bar = zone.querySelector("progress");
const problem = zone.querySelector(".problem");
let request = null;

function say(text) { problem.textContent = text; }

function send(file) {
  if (!file) return;
  if (request) request.abort();
  say("");
  if (file.size > maxBytes) {
    say(`${file.name}: ${(file.size / 1e6).toFixed(0)} MB. At most ${(maxBytes / 1e6).toFixed(0)} MB are taken here; cut it to the part that matters.`);
    return;
  }
  request = new XMLHttpRequest();
  const mine = request;
  mine.open("POST", `${prefix}/upload/${kind}`);
  mine.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
  mine.setRequestHeader("Content-Type", "application/octet-stream");
  mine.responseType = "json";
  mine.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
  mine.onloadend = () => {
    if (mine !== request) return;
    request = null;
    bar.hidden = true;
    input.value = "";
    const reply = mine.response ?? {};
    if (mine.status === 200) trigger("uploaded", { token: reply.token, name: reply.name });
    else if (mine.status) say(reply.problem ?? `The server does not take this file (${mine.status}).`);
    else say("The upload broke off. Is the server still there?");
  };
  bar.value = 0;
  bar.hidden = false;
  mine.send(file);
}

input.addEventListener("change", () => send(input.files[0]));
for (const name of ["dragenter", "dragover"]) {
  zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) {
  zone.addEventListener(name, () => zone.classList.remove("over"));
}
zone.addEventListener("drop", (event) => { event.preventDefault(); send(event.dataTransfer.files[0]); });
