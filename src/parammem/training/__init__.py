"""LoRA fine-tuning of a reflector: rows in, an adapter folder out. lora_sft is the recipe; prepare, encoding, order,
selection and controls feed it; fast_forward computes its logits; distributed spreads it over processes; checkpoint,
resume and publish write.

Which rows come in, and where the folder goes, is decided by `stages.train`.
"""
