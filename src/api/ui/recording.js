// The waveform of a stereo PCM16 WAV (left: caller, right: bot), drawn from peaks that are taken while the file streams in,
// so an hour of audio needs no more memory than a minute; and seeking by wave and by transcript.
"use strict";

const player = document.getElementById("player");
const canvas = document.getElementById("wave");
const state = document.getElementById("wave-state");
const HEADER_BYTES = 44;
const PEAKS = 1200;

async function readPeaks(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const frames = Math.floor((Number(answer.headers.get("content-length")) - HEADER_BYTES) / 4);
  const peaks = { frames, left: new Float32Array(PEAKS), right: new Float32Array(PEAKS) };
  const reader = answer.body.getReader();
  let at = 0;
  let headRead = false;
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return peaks;
    let bytes = new Uint8Array(rest.length + value.length);
    bytes.set(rest);
    bytes.set(value, rest.length);
    if (!headRead) {
      if (bytes.length < HEADER_BYTES) { rest = bytes; continue; }
      checkFormat(new DataView(bytes.buffer));
      bytes = bytes.subarray(HEADER_BYTES);
      headRead = true;
    }
    at = addPeaks(peaks, bytes, at);
    rest = bytes.slice(bytes.length - (bytes.length % 4));
  }
}

function checkFormat(head) {
  const riff = head.getUint32(0) === 0x52494646 && head.getUint32(36) === 0x64617461;
  const stereo16 = head.getUint16(22, true) === 2 && head.getUint16(34, true) === 16;
  if (!riff || !stereo16) throw new Error("not a stereo PCM16 WAV");
}

function addPeaks(peaks, bytes, at) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i + 4 <= bytes.length; i += 4, at += 1) {
    const slot = Math.min(PEAKS - 1, Math.floor((at * PEAKS) / peaks.frames));
    peaks.left[slot] = Math.max(peaks.left[slot], Math.abs(view.getInt16(i, true)) / 32768);
    peaks.right[slot] = Math.max(peaks.right[slot], Math.abs(view.getInt16(i + 2, true)) / 32768);
  }
  return at;
}

function draw(peaks) {
  const scale = window.devicePixelRatio || 1;
  const width = (canvas.width = canvas.clientWidth * scale);
  const height = (canvas.height = canvas.clientHeight * scale);
  const style = getComputedStyle(document.documentElement);
  const pen = canvas.getContext("2d");
  const lane = height / 2;
  for (const [row, values, selector] of [[0, peaks.left, ".legend .customer"], [1, peaks.right, ".legend .bot"]]) {
    pen.fillStyle = getComputedStyle(document.querySelector(selector)).color;
    const middle = lane * (row + 0.5);
    for (let x = 0; x < width; x += 1) {
      // The square root shows quiet speech too.
      const tall = Math.max(scale, Math.sqrt(values[Math.floor((x * PEAKS) / width)]) * lane * 0.95);
      pen.fillRect(x, middle - tall / 2, 1, tall);
    }
  }
  if (player.duration > 0) {
    pen.fillStyle = style.color || "red";
    pen.fillRect((player.currentTime / player.duration) * width, 0, 2 * scale, height);
  }
}

function seek(seconds) {
  player.currentTime = seconds;
  player.play().catch(() => {});
}

function markLine() {
  const now = player.currentTime * 1000;
  let current = null;
  for (const button of document.querySelectorAll("[data-start-ms]")) {
    button.parentElement.classList.remove("now");
    if (Number(button.dataset.startMs) <= now) current = button;
  }
  if (current && now > 0) current.parentElement.classList.add("now");
}

async function start() {
  for (const button of document.querySelectorAll("[data-start-ms]")) {
    button.addEventListener("click", () => seek(Number(button.dataset.startMs) / 1000));
  }
  try {
    state.textContent = "reading…";
    const peaks = await readPeaks(player.src);
    state.textContent = "";
    const redraw = () => draw(peaks);
    redraw();
    player.addEventListener("timeupdate", () => { redraw(); markLine(); });
    window.addEventListener("resize", redraw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    canvas.addEventListener("click", (event) => {
      if (player.duration > 0) seek((event.offsetX / canvas.clientWidth) * player.duration);
    });
  } catch (error) {
    state.textContent = `no waveform: ${error.message}`;
  }
}

if (player) start();
