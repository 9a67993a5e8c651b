// Marks, rows and the plot lead to their place in the video; the playhead follows it.
function seek(place) { document.dispatchEvent(new CustomEvent("pranet-seek", { detail: place })); }

element.addEventListener("click", (event) => {
  const target = event.target.closest("[data-seek]");
  if (target) { seek(Number(target.dataset.seek)); return; }
  const plot = event.target.closest(".plot");
  if (!plot) return;
  const frame = plot.getBoundingClientRect();
  seek(((event.clientX - frame.left) / frame.width) * Number(plot.closest(".timeline").dataset.length));
});
document.addEventListener("pranet-time", (event) => {
  const figure = element.querySelector(".timeline");
  if (!figure) return;
  const place = Math.min(1, event.detail / Number(figure.dataset.length));
  figure.querySelector(".playhead").style.left = `${100 * place}%`;
});
