"""From clean documents to a language model: tokenizer, tokens, training, measuring, serving."""
