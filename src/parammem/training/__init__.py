"""Rows in, an adapter folder out: encoding, order, selection, controls, lora_sft (the recipe), checkpoint, publish."""
