"""Which commodities are money: ISO 4217 codes, active and those withdrawn since 1999.

A posting without a cost is cash only if its commodity is money; a share posted without a cost is
a mistake that would otherwise be valued as an unknown currency.
"""

from decimal import Decimal

_ACTIVE = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN
BZD CAD CDF CHF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW
KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN
NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK
SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS
VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL
"""
_WITHDRAWN = """
ATS BEF CYP DEM EEK ESP FIM FRF GRD HRK IEP ITL LTL LUF LVL MTL NLG PTE ROL SIT SKK TRL BYR VEF
"""

CURRENCIES = frozenset((_ACTIVE + _WITHDRAWN).split())

MINOR_UNITS = {"GBX": "GBP", "ZAC": "ZAR", "ILA": "ILS"}
"""Units some exchanges quote prices in: hundredths of a currency, never a currency of an account."""
MINOR_PER_WHOLE = Decimal(100)
