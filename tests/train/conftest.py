"""Tokenizers that several tests of measuring read; nobody changes them."""

import pytest

from tests.train.making import byte_level, small_model
from train.pieces import Tokenizer
from train.tokenizer import load


@pytest.fixture(scope="session")
def spm(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Has bos and eos, and puts a space before a text."""
    return load(small_model(tmp_path_factory.mktemp("spm"), 400))


@pytest.fixture(scope="session")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Has eos alone."""
    return load(byte_level(tmp_path_factory.mktemp("bpe"), 400))
