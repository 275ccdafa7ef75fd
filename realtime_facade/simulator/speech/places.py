"""The places that can be understood by ear: large cities whose names the dictionary has."""

_NAMES = """
aberdeen, adelaide, alexandria, algiers, amman, amsterdam, ankara, antwerp, athens, atlanta,
auckland, austin, baghdad, baltimore, bangalore, bangkok, barcelona, beijing, beirut, belfast,
belgrade, berlin, birmingham, bogota, bombay, bonn, boston, brasilia, bremen, brisbane, bristol,
brussels, bucharest, budapest, buenos aires, buffalo, cairo, calcutta, calgary, cambridge,
canberra, cape town, caracas, cardiff, casablanca, charlotte, chicago, cincinnati, cleveland,
cologne, copenhagen, dallas, damascus, delhi, denver, detroit, dresden, dubai, dublin, edinburgh,
florence, frankfurt, geneva, genoa, glasgow, hamburg, hanover, hanoi, havana, helsinki, hiroshima,
hong kong, honolulu, houston, istanbul, jakarta, jerusalem, johannesburg, kabul, karachi, kiev,
kingston, kuala lumpur, kuwait city, kyoto, lagos, las vegas, leeds, leipzig, lima, lisbon,
liverpool, london, los angeles, lyon, madrid, manchester, manila, marseille, melbourne, mexico
city, miami, milan, minneapolis, minsk, montreal, moscow, mumbai, munich, nagasaki, nairobi,
naples, nashville, new delhi, new orleans, new york, nice, osaka, oslo, ottawa, oxford, palermo,
panama city, paris, perth, philadelphia, phoenix, pittsburgh, portland, prague, quebec, rio de
janeiro, riyadh, rome, rotterdam, sacramento, salzburg, san diego, san francisco, san jose,
santiago, sao paulo, sarajevo, seattle, seoul, shanghai, singapore, sofia, stockholm, stuttgart,
sydney, taipei, tehran, tel aviv, tokyo, toronto, tunis, turin, vancouver, venice, vienna,
vilnius, warsaw, washington, wellington, zagreb, zurich
"""

PLACES: tuple[str, ...] = tuple(" ".join(name.split()) for name in _NAMES.split(","))
"""In lower case."""


def written_place(name: str) -> str:
    """A place as it is written: `rio de janeiro` becomes `Rio de Janeiro`."""
    return " ".join(part if part == "de" else part.capitalize() for part in name.split())


FAMOUS = frozenset(
    {"amsterdam", "athens", "bangkok", "barcelona", "beijing", "berlin", "boston", "brussels"}
    | {"cairo", "chicago", "delhi", "dublin", "hamburg", "istanbul", "lisbon", "london"}
    | {"los angeles", "madrid", "milan", "moscow", "munich", "new york", "oslo", "paris"}
    | {"prague", "rome", "san francisco", "seoul", "shanghai", "singapore", "stockholm"}
    | {"sydney", "tokyo", "toronto", "vienna", "zurich"}
)
"""Those that are more often asked about than the rest."""
