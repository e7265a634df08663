"""What can be refused before a weight is read: from recipes, configs, tokenizers and headers."""

from rvec_merge.preflight.models import Resolver, see_local
from rvec_merge.preflight.run import PreflightReport, examine

__all__ = [
    "PreflightReport",
    "Resolver",
    "examine",
    "see_local",
]
