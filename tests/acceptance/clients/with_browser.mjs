// Chromium on pages of three origins: a foreign one, an allowed one, and a name rebound to the server.
//
// Usage: node with_browser.mjs SERVER FOREIGN ALLOWED, each `http://127.0.0.1:port`. Prints a line of
// JSON for each scenario.

import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const [server, foreign, allowed] = process.argv.slice(2);
const REBOUND = "rebound.example";

// What a script of a page does; it runs in the browser.
async function attempt(url) {
  const tryFetch = async (path, options) => {
    try {
      const answer = await fetch(url + path, options);
      return { status: answer.status, id: answer.headers.get("x-request-id"), text: await answer.text() };
    } catch (error) {
      return { blocked: error.message };
    }
  };
  const body = JSON.stringify({ input: "Hello." });
  const unstored = JSON.stringify({ input: "Hello.", stream: true, store: false });
  const frame = JSON.stringify({ type: "response.create", input: "Hello." });
  const overSocket = new Promise((resolve) => {
    const socket = new WebSocket(url.replace("http", "ws") + "/v1/responses");
    socket.onopen = () => socket.send(frame);
    socket.onmessage = (message) => {
      socket.close();
      resolve({ first: JSON.parse(message.data).type });
    };
    socket.onerror = () => resolve({ blocked: "error" });
  });
  const headers = { "content-type": "application/json", authorization: "Bearer unused" };
  return {
    read: await tryFetch("/v1/responses"),
    simple: await tryFetch("/v1/responses", { method: "POST", mode: "no-cors", body }),
    json: await tryFetch("/v1/responses", { method: "POST", headers, body }),
    stream: await tryFetch("/v1/responses", { method: "POST", headers, body: unstored }),
    missing: await tryFetch("/v1/responses/resp_1", { headers }),
    invalid: await tryFetch("/v1/responses", { method: "POST", headers, body: "{" }),
    tooLarge: await tryFetch("/v1/responses", { method: "POST", headers, body: " ".repeat(33 << 20) }),
    socket: await overSocket,
  };
}

async function frameOf(page, url) {
  await page.setContent(`<iframe src="${url}"></iframe>`);
  const frame = await (await page.waitForSelector("iframe")).contentFrame();
  await frame.waitForNavigation({ timeout: 5000 }).catch(() => {}); // it may be there already
  return { url: frame.url() };
}

async function showReference(page) {
  const hosts = new Set();
  page.on("response", (answer) => hosts.add(new URL(answer.url()).host));
  await page.goto(`${server}/docs`, { waitUntil: "networkidle0" });
  await page.waitForFunction(() => document.body.innerText.includes("/v1/responses/{response_id}"));
  return { text: await page.evaluate(() => document.body.innerText), hosts: [...hosts] };
}

const port = new URL(server).port;
const scenarios = {
  async foreign(page) {
    await page.goto(foreign);
    return { ...(await page.evaluate(attempt, server)), frame: await frameOf(page, `${server}/docs`) };
  },
  async allowed(page) {
    await page.goto(allowed);
    return page.evaluate(attempt, server);
  },
  async rebound(page) {
    const answer = await page.goto(`http://${REBOUND}:${port}/v1/responses`);
    return { status: answer.status(), text: await answer.text() };
  },
  reference: showReference,
};

const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(),
  // The arguments that the package suggests switch the checks of origins off.
  args: ["--no-sandbox", "--disable-gpu", `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`],
  headless: "shell",
});
for (const [name, scenario] of Object.entries(scenarios)) {
  const page = await browser.newPage();
  console.log(JSON.stringify({ [name]: await scenario(page) }));
  await page.close();
}
await browser.close();
