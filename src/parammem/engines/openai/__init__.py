"""Any OpenAI-compatible server: server (HTTP, retries), account (budget), engine, vllm (adapters), embedder."""
