// @ts-check
/**
 * Keeps the run on the screen when the server goes away. Gradio asks every two seconds whether its server answers again,
 * and then loads the page anew. Here the answer waits until the run and the controls are laid aside; the new page takes
 * them up, and the next click goes on with the run.
 */

const PROBE_MS = 1500;
const KEY = "tr-kept";
const CONTROLS_KEY = "tr-controls";
const FILLED_WITHIN_MS = 10_000;

/**
 * @param {URL} base of the page
 * @param {{lost: () => void, found: () => void, records: () => string[], receive: (text: string) => void}} explorer
 * @param {() => string | undefined} controls as a query string, once the page has filled them in
 */
export async function keepPage(base, explorer, controls) {
  const ask = window.fetch.bind(window);
  let lost = false;

  window.fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, base);
    return url.pathname.endsWith("/gradio_api/app_id") ? whenThereAgain(url) : ask(input, init);
  };

  /** @param {URL} url */
  async function whenThereAgain(url) {
    if (lost) throw new Error("one asks already");
    lost = true;
    explorer.lost();
    while (!(await answers())) await wait(PROBE_MS);
    await layAside(explorer.records(), withTyped(controls() ?? ""));
    return ask(url);
  }

  async function answers() {
    try {
      return (await ask(new URL("healthz", base))).ok;
    } catch {
      return false;
    }
  }

  const kept = await takeUp();
  kept.forEach(explorer.receive);
  // Whoever is told to press Run must find the controls as they were.
  const latest = performance.now() + FILLED_WITHIN_MS;
  while (kept.length && controls() === undefined && performance.now() < latest) await wait(50);
  if (kept.length) explorer.found();
}

/**
 * Gradio tells nothing of what is typed while its server is away, so that is read where it stands.
 * @param {string} query
 */
function withTyped(query) {
  const all = new URLSearchParams(query);
  for (const box of document.querySelectorAll("[id^=tr-typed-]")) {
    const field = box.querySelector("textarea, input");
    if (field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement)
      all.set(box.id.slice("tr-typed-".length), field.value);
  }
  return all.toString();
}

/** @param {number} ms */
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** @param {string[]} records @param {string} controls */
async function layAside(records, controls) {
  try {
    sessionStorage.setItem(CONTROLS_KEY, controls);
    if (!records.length) return;
    const place = crypto.getRandomValues(new Uint32Array(2)).join("-");
    await inStore((store) => store.put(records, place));
    sessionStorage.setItem(KEY, place);
  } catch {
    // A browser that stores nothing begins anew.
  }
}

/** What this tab laid aside, once. @returns {Promise<string[]>} */
async function takeUp() {
  try {
    const place = sessionStorage.getItem(KEY);
    if (!place) return [];
    sessionStorage.removeItem(KEY);
    const records = await inStore((store) => store.get(place));
    await inStore((store) => store.clear());
    return Array.isArray(records) ? records : [];
  } catch {
    return [];
  }
}

/** @param {(store: IDBObjectStore) => IDBRequest} work @returns {Promise<any>} */
function inStore(work) {
  return new Promise((done, fail) => {
    const opening = indexedDB.open(KEY, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(KEY);
    opening.onerror = () => fail(opening.error);
    opening.onsuccess = () => {
      const request = work(opening.result.transaction(KEY, "readwrite").objectStore(KEY));
      request.onsuccess = () => done(request.result);
      request.onerror = () => fail(request.error);
      request.transaction?.addEventListener("complete", () => opening.result.close());
    };
  });
}
