"""Engines write text: base (what they promise), scripted (tests), hf (transformers and PEFT), cached (around any of them)."""
