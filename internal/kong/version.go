package kong

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is the part of Kong's version that its answers follow from: "3.4.2" is 3.4. The zero value is an unknown
// version.
type Version struct{ Major, Minor int }

// ParseVersion reads what `GET /` calls version: "3.9.3", "3.10.0.1", "2.8.4.7-enterprise-edition". A text that is no
// version gives the zero value.
func ParseVersion(text string) Version {
	major, rest, _ := strings.Cut(text, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	var v Version
	var errMajor, errMinor error
	v.Major, errMajor = strconv.Atoi(major)
	v.Minor, errMinor = strconv.Atoi(minor)
	if errMajor != nil || errMinor != nil || v.Major <= 0 || v.Minor < 0 {
		return Version{}
	}
	return v
}

// CheckVersion is the error for a text that a user gave as a version, and is none; "" is no fault. field names it.
func CheckVersion(field, text string) error {
	if text != "" && ParseVersion(text) == (Version{}) {
		return fmt.Errorf("%s: %q is no version of Kong. Write it as Kong does, such as 3.9 or 3.4.2", field, text)
	}
	return nil
}

// AtLeast says whether v is a version of Kong from other on. An unknown version is taken for a new one.
func (v Version) AtLeast(other Version) bool {
	if v == (Version{}) || v.Major > other.Major {
		return true
	}
	return v.Major == other.Major && v.Minor >= other.Minor
}

// String implements fmt.Stringer: "3.4".
func (v Version) String() string { return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) }
