"""Engines on any OpenAI-compatible server: server (HTTP, retries), account (budget), engine, vllm (adapters), embedder;
capabilities and examine find out what a server accepts. Models in this process are `engines.hf`.
"""
