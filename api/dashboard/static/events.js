// Server-sent events over `fetch`, which can send a body and headers.

const DONE = "[DONE]";

function parse(frame) {
  const data = [];
  for (const line of frame.split("\n")) {
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.join("\n");
}

async function fail(answer) {
  const text = await answer.text();
  let message = `The server answered ${answer.status}.`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Not an answer of the API.
  }
  const error = new Error(message);
  error.status = answer.status;
  throw error;
}

// Yields the parsed events of an answer.
export async function* readEvents(url, options = {}) {
  const answer = await fetch(url, options);
  if (!answer.ok) await fail(answer);
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of chunks(answer.body)) {
    rest += decoder.decode(bytes, { stream: true });
    const frames = rest.split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const data = parse(frame);
      if (data && data !== DONE) yield JSON.parse(data);
    }
  }
}

async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export const isEnd = (event) =>
  ["response.completed", "response.incomplete", "response.failed", "response.cancelled"].includes(event.type);
