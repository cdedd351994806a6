"""What every part of one process shares, passed in and never looked up. It must not know any stage."""

from dataclasses import dataclass

from app.base.clock import Clock
from app.base.doorbell import Doorbell
from app.base.secret import Secret
from app.base.settings import Settings
from app.store.unit import Store


@dataclass(frozen=True, slots=True)
class House:
    """Settings, database, doorbell, secret and time of one process."""

    settings: Settings
    store: Store
    bell: Doorbell
    secret: Secret
    clock: Clock
