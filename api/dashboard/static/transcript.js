// Output items as they are generated, built as text from the events of a response.

const NAMES = { message: "assistant", reasoning: "reasoning" };

export class Transcript {
  constructor(root, items = []) {
    this.root = root;
    this.items = [];
    for (const item of items) this.show(item.index, item.kind, item.title, item.text);
  }

  // The state that a page keeps, so that it can go on after it was loaded again.
  get state() {
    return this.items.filter(Boolean).map(({ index, kind, title, text }) => ({ index, kind, title, text }));
  }

  take(event) {
    const index = event.output_index;
    if (event.type === "response.output_item.added") {
      const { type, role, name } = event.item;
      const title = name ? `${type.replaceAll("_", " ")}: ${name}` : (role ?? NAMES[type] ?? type.replaceAll("_", " "));
      this.show(index, type, title, "");
    } else if (typeof event.delta === "string" && this.items[index]) {
      this.append(this.items[index], event.delta);
    }
  }

  show(index, kind, title, text) {
    if (this.items[index]) return;
    this.root.querySelector("[data-waiting]")?.remove();
    const element = document.createElement("article");
    element.className = "item";
    element.classList.add(kind.replace(/[^a-z_]/g, ""));
    const head = document.createElement("header");
    const label = document.createElement("span");
    label.className = "kind";
    label.textContent = title;
    head.append(label);
    const body = document.createElement("pre");
    body.className = kind === "message" || kind === "reasoning" ? "text" : "code";
    body.textContent = text;
    element.append(head, body);
    this.root.append(element);
    this.items[index] = { index, kind, title, text, node: body.firstChild, body };
  }

  append(item, delta) {
    item.text += delta;
    if (item.node) item.node.appendData(delta);
    else {
      item.body.textContent = item.text;
      item.node = item.body.firstChild;
    }
  }
}
