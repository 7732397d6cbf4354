"""The block with the ChatGPT settings that TikMatrix uses to write comments during a warm-up."""

from typing import Any

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr


class ChatGPTSettings(Block):
    """Settings that TikMatrix uses to call ChatGPT. reelflow itself never calls ChatGPT.

    Example:
        Load a saved block:

        ```python
        from blocks import ChatGPTSettings

        chatgpt = ChatGPTSettings.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "ChatGPT Settings"
    _block_type_slug = "chatgpt-settings"
    _description = "API key, model and prompt for comments that ChatGPT writes during a TikMatrix warm-up."
    # Prefect's own picture for this kind of block: one of ours would need a public address.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/secret.png"
    )
    _documentation_url = HttpUrl("https://www.tikmatrix.com")

    api_key: SecretStr = Field(
        title="API key", description="Sent to TikMatrix with each warm-up that uses ChatGPT, and stored nowhere else."
    )
    model: str = Field("gpt-3.5-turbo", title="Model", description="Name of the ChatGPT model.", min_length=1)
    prompt: str = Field("", title="Prompt", description="Instructions for the comments. Empty: none.", max_length=4000)
    max_tokens: int = Field(
        100, title="Maximum length (tokens)", description="Longest comment that ChatGPT may write.", ge=1, le=4096
    )
    temperature: float = Field(0.7, title="Temperature", description="0 is predictable, 2 is random.", ge=0, le=2)
    base_url: str = Field("", title="Base URL", description="For another service with the same API. Empty: OpenAI.")

    def get_settings(self) -> dict[str, Any]:
        """The ``chatgpt_settings`` of ``account_warmup``, with the key in plain text: only for the request itself."""
        settings: dict[str, Any] = {
            "api_key": self.api_key.get_secret_value(),
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        optional = {"prompt": self.prompt.strip(), "base_url": self.base_url.strip()}
        return settings | {name: value for name, value in optional.items() if value}
