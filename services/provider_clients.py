"""The data providers' clients, from settings."""

from typing import Any

from services.providers.fmp import Fmp
from services.providers.fred import Fred
from services.providers.http import Manners, ProviderHttp
from services.providers.polygon import Polygon
from settings import ENV_PREFIX, Settings


def provider_clients(settings: Settings, manners: Manners | None = None) -> dict[str, Any]:
    """Return the services the DataHarvester asks for; nothing is connected before the first call.

    Args:
        settings: keys and addresses; a provider without a key is there and says what it lacks.
        manners: limits and pauses; by default those below, under each provider's free plan.
    """
    polygon = ProviderHttp(
        "polygon",
        settings.polygon_url,
        settings.polygon_key,
        f"{ENV_PREFIX}POLYGON_KEY",
        header=("Authorization", "Bearer "),
        manners=manners or Manners(rate_per_s=5 / 60, wait_s_max=12.5),
    )
    fmp = ProviderHttp(
        "fmp",
        settings.fmp_url,
        settings.fmp_key,
        f"{ENV_PREFIX}FMP_KEY",
        header=("apikey", ""),
        manners=manners or Manners(rate_per_s=4.0),
    )
    fred = ProviderHttp(
        "fred",
        settings.fred_url,
        settings.fred_key,
        f"{ENV_PREFIX}FRED_KEY",
        key_param="api_key",
        manners=manners or Manners(rate_per_s=2.0),
    )
    return {"market": Polygon(polygon), "statements": Fmp(fmp), "series": Fred(fred)}
