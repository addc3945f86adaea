"""The currencies that money is in.

Belongs here: the codes. Does not belong here: how an amount is written (`weathervane_assets.tenant_report.wording`).
"""

_IN_USE = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY "
    "COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GGP GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF "
    "IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES KGS KHR KID KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR "
    "RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS "
    "UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
)
IN_USE = frozenset(_IN_USE.split())
"""The active codes of ISO 4217 (2026; no funds, metals or test codes), and what Shopify takes beside them: GGP, IMP, JEP, KID.

`XXX` is Shopify's "unrecognized currency" and is in no list of ours."""
KNOWN = IN_USE | {"BGN", "BYR", "HRK", "SLL", "STD"}
"""What rows may be in: old orders are in what was in use then."""
