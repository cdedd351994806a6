"""The modules that our MIB imports, with no more than it takes from them: Debian does not distribute those of the RFCs (2578 to 2580, 3411)."""

from pathlib import Path

_MODULES = {
    "SNMPv2-SMI": """
org OBJECT IDENTIFIER ::= { iso 3 }
dod OBJECT IDENTIFIER ::= { org 6 }
internet OBJECT IDENTIFIER ::= { dod 1 }
private OBJECT IDENTIFIER ::= { internet 4 }
enterprises OBJECT IDENTIFIER ::= { private 1 }
snmpV2 OBJECT IDENTIFIER ::= { internet 6 }
snmpModules OBJECT IDENTIFIER ::= { snmpV2 3 }
MODULE-IDENTITY MACRO ::= BEGIN END
OBJECT-TYPE MACRO ::= BEGIN END
NOTIFICATION-TYPE MACRO ::= BEGIN END
""",
    "SNMPv2-TC": """
TEXTUAL-CONVENTION MACRO ::= BEGIN END
""",
    "SNMPv2-CONF": """
OBJECT-GROUP MACRO ::= BEGIN END
NOTIFICATION-GROUP MACRO ::= BEGIN END
MODULE-COMPLIANCE MACRO ::= BEGIN END
""",
    "SNMP-FRAMEWORK-MIB": """
IMPORTS MODULE-IDENTITY, snmpModules FROM SNMPv2-SMI TEXTUAL-CONVENTION FROM SNMPv2-TC;
snmpFrameworkMIB MODULE-IDENTITY
    LAST-UPDATED "200210140000Z"
    ORGANIZATION "IETF"
    CONTACT-INFO "RFC 3411"
    DESCRIPTION "What our MIB imports of it."
    REVISION "200210140000Z"
    DESCRIPTION "RFC 3411"
    ::= { snmpModules 10 }
SnmpAdminString ::= TEXTUAL-CONVENTION
    DISPLAY-HINT "255t"
    STATUS current
    DESCRIPTION "Text in UTF-8."
    SYNTAX OCTET STRING (SIZE (0..255))
""",
}


def write_smi_modules(folder: Path) -> list[Path]:
    """Write them into a folder and return their files."""
    folder.mkdir()
    files = []
    for name, text in _MODULES.items():
        files.append(folder / name)
        files[-1].write_text(f"{name} DEFINITIONS ::= BEGIN\n{text}END\n", encoding="ascii")
    return files
