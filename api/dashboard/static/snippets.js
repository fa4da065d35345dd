// A request as programs would send it.

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const indent = (text, by) => text.replaceAll("\n", `\n${by}`);

function asPython(value, by = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${by}    `;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((entry) => deeper + asPython(entry, deeper))
    : Object.entries(value).map(([name, entry]) => `${deeper}${JSON.stringify(name)}: ${asPython(entry, deeper)}`);
  if (parts.length === 0) return isList ? "[]" : "{}";
  const [open, close] = isList ? "[]" : "{}";
  return `${open}\n${parts.join(",\n")},\n${by}${close}`;
}

// Fields that the official clients do not know go in the body beside those that they do.
const KNOWN = new Set(
  ("background conversation include input instructions max_output_tokens max_tool_calls metadata model " +
    "parallel_tool_calls previous_response_id prompt_cache_key reasoning safety_identifier service_tier store " +
    "stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user").split(" "),
);

function python(body, base) {
  const known = Object.entries({ model: "default", ...body }).filter(([name]) => KNOWN.has(name));
  const extra = Object.entries(body).filter(([name]) => !KNOWN.has(name));
  const lines = known.map(([name, value]) => `    ${name}=${asPython(value, "    ")},`);
  if (extra.length > 0) lines.push(`    extra_body=${asPython(Object.fromEntries(extra), "    ")},`);
  const show = body.stream
    ? "for event in response:\n    if event.type == \"response.output_text.delta\":\n        print(event.delta, end=\"\", flush=True)"
    : "print(response.output_text)";
  return `import os\n\nfrom openai import OpenAI\n\nclient = OpenAI(\n    base_url="${base}/v1", api_key=os.environ.get("ANTIPHON_API_KEY", "unused")\n)\nresponse = client.responses.create(\n${lines.join("\n")}\n)\n${show}\n`;
}

function node(body, base) {
  const show = body.stream
    ? "for await (const event of response) {\n  if (event.type === \"response.output_text.delta\") process.stdout.write(event.delta);\n}"
    : "console.log(response.output_text);";
  const json = JSON.stringify({ model: "default", ...body }, null, 2);
  return `import OpenAI from "openai";\n\nconst client = new OpenAI({\n  baseURL: "${base}/v1",\n  apiKey: process.env.ANTIPHON_API_KEY ?? "unused",\n});\nconst response = await client.responses.create(${json});\n${show}\n`;
}

function curl(body, base) {
  const json = indent(JSON.stringify(body, null, 2), "  ");
  return `curl -s${body.stream ? "N" : ""} ${base}/v1/responses \\\n  -H "authorization: Bearer $ANTIPHON_API_KEY" \\\n  -H 'content-type: application/json' \\\n  -d ${quote(json)}\n`;
}

function cli(body, base) {
  const { stream, ...rest } = body;
  const json = JSON.stringify(rest, null, 2);
  return `./antiphon submit --base-url ${base} -f - <<'JSON'\n${json}\nJSON\n`;
}

export const SNIPPETS = { curl, python, node, cli };
