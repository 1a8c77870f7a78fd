"""What families of methods share: pre-training, adaptation, fine-tuning."""
