"""Engines write text: base (what they promise), scripted (tests), hf (transformers, PEFT), cached (around any of them)."""
