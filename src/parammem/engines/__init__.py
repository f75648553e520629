"""Engines write text: base (the protocol), scripted, hf (transformers and PEFT), openai/ (servers), and cache, which
wraps any of them (batching: what is written together). Model folders are found, checked and hashed here too (folders,
loading, digests, vetting).

No engine gets a task, a prompt's meaning or a verdict. Names are imported from the modules, not from here: a stage
then depends on the engines' code that it uses.
"""
