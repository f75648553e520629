"""Engines write text: base (what they promise), scripted, hf (transformers and PEFT), cached (around any of them)."""
