"""The block for ChatGPT, with which TikMatrix can write comments in a warm-up."""

from typing import Any

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr


class ChatGPTSettings(Block):
    """What TikMatrix hands to ChatGPT. reelflow itself never talks to it.

    Example:
        Load a block that was saved before:

        ```python
        from blocks import ChatGPTSettings

        chatgpt = ChatGPTSettings.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "ChatGPT Settings"
    _block_type_slug = "chatgpt-settings"
    _description = "Key, model and prompt with which TikMatrix lets ChatGPT write comments in a warm-up."
    # Prefect's own picture for this kind of block: one of ours would need a public address to be shown from.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/secret.png"
    )
    _documentation_url = HttpUrl("https://www.tikmatrix.com")

    api_key: SecretStr = Field(title="API key", description="Sent to TikMatrix with each warm-up, and kept nowhere.")
    model: str = Field("gpt-3.5-turbo", title="Model", description="The name of the model.", min_length=1)
    prompt: str = Field("", title="Prompt", description="How the comments should be.", max_length=4000)
    max_tokens: int = Field(100, title="Longest answer (tokens)", description="At most.", ge=1, le=4096)
    temperature: float = Field(0.7, title="Temperature", description="0: sober. 2: wild.", ge=0, le=2)
    base_url: str = Field(
        "", title="Base URL", description="Of another service that speaks like ChatGPT. Empty: its own."
    )

    def get_settings(self) -> dict[str, Any]:
        """The ``chatgpt_settings`` of ``account_warmup``, with the key in clear: for the wire alone."""
        settings: dict[str, Any] = {
            "api_key": self.api_key.get_secret_value(),
            "model": self.model,
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        return settings | ({"base_url": self.base_url} if self.base_url else {})
