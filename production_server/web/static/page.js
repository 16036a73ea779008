// The predictions page with JavaScript: answers in place, uploads with progress.
// Without JavaScript the form still works: the server renders every element that is filled here.
"use strict";
const $ = (id) => document.getElementById(id);
const percent = (p) => p > 0.995 ? ">99%" : p < 0.005 ? "<1%" : `${Math.round(p * 100)}%`;
const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const items = (list, texts) => list.replaceChildren(...texts.map((text) => {
  const item = document.createElement("li");
  item.append(...[].concat(text));
  return item;
}));
// The ID is what the operator of the service finds the request by, in its logs.
const requestId = (problem) => problem.request_id && `Request ID: ${problem.request_id}`;
const problemText = (problem, otherwise) =>
  [problem.detail || problem.title, problem.remedy].filter(Boolean).join(" ") || otherwise;
const small = (text) => Object.assign(document.createElement("p"), { className: "request", textContent: text });
// What a signed-in page sends along to change something.
const csrf = document.querySelector("meta[name=csrf]");
const PROOF = csrf ? { "X-CSRF-Token": csrf.content } : {};
const UNREACHED = "The server could not be reached. Check your connection and try again.";

// --- one case ---------------------------------------------------------------------------------
const form = $("form"), answer = $("answer"), card = answer.dataset;
const inputs = [...form.querySelectorAll("input")];
let asked = 0;

const fieldOf = (input) => input.closest(".field");
const mark = (input, error, warning) => {
  fieldOf(input).classList.toggle("bad", Boolean(error));
  fieldOf(input).classList.toggle("odd", Boolean(warning));
  input.toggleAttribute("aria-invalid", false);
  if (error) input.setAttribute("aria-invalid", "true");
  $(`${input.id}-error`).textContent = error || "";
};
const clear = () => {
  inputs.forEach((input) => mark(input));
  $("trouble").replaceChildren();
};

// A typed value as JSON. The server accepts NaN and Infinity as tokens and explains why they are
// refused. A value that is not a number is sent as typed, for the same reason.
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
function token(text) {
  if (/^[+-]?nan$/i.test(text)) return "NaN";
  const number = NUMBER.test(text) ? Number(text) : /^[+-]?inf(inity)?$/i.test(text) ? Infinity : NaN;
  return Number.isNaN(number) ? JSON.stringify(text) : String(number);
}

const row = () => `{${inputs.filter(({ value }) => value.trim())
  .map(({ name, value }) => `${JSON.stringify(name)}: ${token(value.trim())}`)}}`;

// What an element or a sentence shows of a prediction: [format, path, ...more].
const FORMATS = {
  percent,
  number: (value) => `${+value.toPrecision(4)}`,
  whole: (p) => Math.round(p * 100),
  hundred: (p) => p * 100,
  arc: (p) => `${p * 100} 100`,
  share: (value, low, high) => Math.min(1, Math.max(0, (value - low) / (high - low))) * 100,
};
const valueAt = (got, path) => [].concat(path).reduce((value, key) => value[key], got);
const figure = (got, [format, path, ...more]) => FORMATS[format](valueAt(got, path), ...more);

function fill(got) {
  for (const element of answer.querySelectorAll("[data-fill]")) {
    for (const [attribute, wanted] of JSON.parse(element.dataset.fill)) {
      if (attribute) element.setAttribute(attribute, figure(got, wanted));
      else element.textContent = figure(got, wanted);
    }
  }
  for (const element of answer.querySelectorAll("[data-mark]")) {
    const [mark, path, value] = JSON.parse(element.dataset.mark);
    element.classList.toggle(mark, valueAt(got, path) === value);
  }
}

function showAnswer({ version, predictions: [got] }) {
  const verdict = JSON.parse(card.verdicts)[got.label];
  const sentence = verdict.map((part) => typeof part === "string" ? part : figure(got, part)).join("");
  fill(got);
  for (const warning of got.warnings) {
    const input = inputs.find((one) => one.name === warning.field);
    if (input) mark(input, "", warning.detail);
  }
  items($("warnings"), got.warnings.map((warning) => warning.detail));
  $("verdict").textContent = upper(sentence);
  $("source").textContent = `Predicted by ${version}`;
  $("empty").hidden = true;
  $("outcome").hidden = false;
}

function showTrouble(problem) {
  const wrong = [];
  for (const error of problem.errors || []) {
    const input = inputs.find((one) => one.name === error.field);
    if (!input) continue;
    // The label and the hint already show the name and the range.
    const words = upper(error.detail.replace(error.field, "").trim())
      + (input.value.includes(",") ? " Write decimals with a point." : "");
    mark(input, words);
    const link = Object.assign(document.createElement("a"),
      { href: `#${input.id}`, textContent: input.labels[0].firstChild.textContent.trim() });
    link.addEventListener("click", (event) => { event.preventDefault(); input.focus(); });
    wrong.push([link, `: ${words}`]);
  }
  const words = document.createElement("p");
  words.textContent = !wrong.length ? problemText(problem, "No answer arrived. Try again.")
    : wrong.length === 1 ? "One value needs your attention:" : `${wrong.length} values need your attention:`;
  $("trouble").replaceChildren(words);
  if (!wrong.length && requestId(problem)) $("trouble").append(small(requestId(problem)));
  if (wrong.length) {
    const list = document.createElement("ul");
    items(list, wrong);
    $("trouble").append(list);
    inputs.find((input) => input.getAttribute("aria-invalid")).focus();
  }
  $("empty").hidden = $("outcome").hidden = true;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const turn = ++asked, button = form.querySelector("button");
  button.setAttribute("aria-disabled", "true");
  let show;
  try {
    const response = await fetch("/predict", {
      method: "POST", body: row(),
      headers: { "Content-Type": "application/json", Accept: "application/json" },
    });
    const body = await response.json();
    show = !response.ok ? () => showTrouble(body)
      : body.model === card.model ? () => showAnswer(body)
      : () => showTrouble({ detail: "The service has switched to another model.", remedy: "Reload this page." });
  } catch {
    show = () => showTrouble({ detail: UNREACHED });
  }
  if (turn !== asked) return; // A newer request is under way.
  button.removeAttribute("aria-disabled");
  clear();
  show();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!$("outcome").hidden) answer.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
});

// --- many cases -------------------------------------------------------------------------------
const upload = $("upload"), bar = $("job-bar");
let stop = null; // what Cancel does; null when no upload or job is under way

const say = (state, count = "") => {
  if ($("job-state").textContent !== state) $("job-state").textContent = state;
  $("job-count").textContent = count;
};
function jobTrouble(text, details = [], problem = {}) {
  const list = document.createElement("ul");
  items(list, details);
  const id = requestId(problem);
  $("job-trouble").replaceChildren(text, ...(details.length ? [list] : []), ...(id ? [small(id)] : []));
}

// A job that has finished meanwhile keeps its result, and the page shows that instead.
const cancel = (address) => fetch(`${address}?keep_result=true`, { method: "DELETE", headers: PROOF })
  .catch(() => jobTrouble(UNREACHED));

// A file whose upload was cut off keeps its key, so that the next attempt cannot make a second job.
// (crypto.randomUUID exists only on pages with TLS.)
let attempt = null;
function keyFor(file) {
  if (!attempt || attempt.file !== file) {
    attempt = { file, key: [...crypto.getRandomValues(new Uint32Array(4))].join("-") };
  }
  return attempt.key;
}

function send(file) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest(); // fetch cannot report upload progress
    let sent = false, unwanted = false;
    call.open("POST", "/jobs?ignore_unknown=true");
    call.setRequestHeader("Content-Type", "text/csv");
    call.setRequestHeader("Accept", "application/json");
    call.setRequestHeader("Idempotency-Key", keyFor(file));
    for (const [name, value] of Object.entries(PROOF)) call.setRequestHeader(name, value);
    call.responseType = "json";
    call.upload.onprogress = ({ loaded, total }) => {
      bar.value = loaded / total * 100;
      say(loaded < total ? "Sending the file" : "Checking the rows", percent(loaded / total));
    };
    call.upload.onload = () => { sent = true; };
    call.onload = async () => {
      attempt = null;
      if (call.status >= 300) return reject(call.response || {});
      if (unwanted) await cancel(call.response.links.self);
      return resolve(call.response);
    };
    call.onerror = () => reject({ detail: UNREACHED });
    call.onabort = () => resolve(null);
    // After the last byte the job may exist: wait for its address, then cancel it.
    stop = () => { if (sent) unwanted = true; else call.abort(); };
    call.send(file);
  });
}

async function follow(address) {
  stop = () => cancel(address);
  for (let pause = 150; ; pause = Math.min(pause * 1.3, 2000)) {
    let job;
    try {
      const response = await fetch(address, { headers: { Accept: "application/json" } });
      const body = await response.json();
      if (response.status === 429) pause = Math.max(pause, 1000 * response.headers.get("Retry-After"));
      else if (response.status >= 500) jobTrouble(problemText(body), [], body);
      else if (!response.ok) return finish("Not found", problemText(body), "", [], body);
      else jobTrouble("");
      if (response.ok) job = body;
    } catch {
      jobTrouble("The server does not respond. The job is safe; retrying ...");
    }
    if (job) {
      bar.value = job.progress * 100;
      const settled = job.rows_done + job.rows_failed;
      let count = `${settled.toLocaleString("en")} of ${job.rows.toLocaleString("en")} rows`;
      items($("job-workers"), job.workers.map(({ host, rows }) => `${host}: ${rows.toLocaleString("en")} rows`));
      if (!["queued", "running"].includes(job.state)) return end(job, count);
      if (job.seconds_left > 1) count += `, about ${Math.ceil(job.seconds_left)} s left`;
      say(job.state === "queued" ? "Waiting for a worker" : "Predicting", count);
    }
    await new Promise((wake) => setTimeout(wake, pause));
  }
}

function end(job, count) {
  for (const [id, address] of [["job-csv", job.links.result_csv], ["job-json", job.links.result_json]]) {
    $(id).hidden = !address;
    if (address) $(id).href = address;
  }
  const failed = job.state === "failed" ? "Some rows failed. The result gives the reasons." : "";
  const state = { done: "Done", failed: "Partly done", cancelled: "Cancelled" }[job.state];
  finish(state, failed, count, [], failed ? job : {});
  const notes = job.warnings.map((warning) => warning.detail);
  if (job.ignored_columns.length) notes.push(`Ignored columns, unknown to the model: ${job.ignored_columns.join(", ")}`);
  items($("job-notes"), notes);
}

function finish(state, trouble = "", count = "", details = [], problem = {}) {
  stop = null;
  $("job-cancel").hidden = true;
  say(state, count);
  jobTrouble(trouble, details, problem);
}

function start(state) {
  $("job").hidden = $("job-cancel").hidden = false;
  $("job-csv").hidden = $("job-json").hidden = true;
  $("job-notes").replaceChildren();
  $("job-workers").replaceChildren();
  bar.value = 0;
  jobTrouble("");
  say(state);
}

upload.hidden = false;
upload.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (stop) return jobTrouble("An upload is in progress. Wait for it to finish, or cancel it first.");
  start("Sending the file");
  try {
    const job = await send($("file").files[0]);
    if (!job) return finish("Cancelled");
    history.replaceState(null, "", `#job=${job.id}`);
    await follow(job.links.self);
  } catch (problem) {
    const where = ({ line, row, detail }) => `${line ? `line ${line}: ` : row ? `row ${row}: ` : ""}${detail}`;
    const details = (problem.errors || []).slice(0, 8).map(where);
    finish("Not accepted", problemText(problem, String(problem)), "", details, details.length ? {} : problem);
  }
});
$("job-cancel").addEventListener("click", () => stop && stop());

// The address names the job, so a reload or a bookmark continues with it.
const known = /^#job=([\w-]+)$/.exec(location.hash);
if (known) {
  start("Loading the job");
  follow(`/jobs/${known[1]}`);
  $("many").scrollIntoView();
}
