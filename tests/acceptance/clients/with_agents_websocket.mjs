// openai-agents for JavaScript, over WebSocket.
//
// Usage: node with_agents_websocket.mjs SERVER THINKING

process.argv.push("websocket");
await import("./with_agents.mjs");
