package jwtplugin

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// verifyClaims gives the faults of the registered claims, all together; nil
// when there are none. Names other than exp and nbf are ignored: Kong's schema
// does not let them in.
func verifyClaims(claims object, names []string, now time.Time) map[string]string {
	var faults map[string]string
	for _, name := range names {
		fault := claimFault(claims, name, now)
		if fault == "" {
			continue
		}
		if faults == nil {
			faults = map[string]string{}
		}
		faults[name] = fault
	}
	return faults
}

func claimFault(claims object, name string, now time.Time) string {
	if name != "exp" && name != "nbf" {
		return ""
	}
	n, isNumber := claims[name].(json.Number)
	if !isNumber {
		return "must be a number"
	}
	seconds, at := toFloat(string(n)), float64(now.Unix())
	switch {
	case name == "exp" && seconds <= at:
		return "token expired"
	case name == "nbf" && seconds > at:
		return "token not valid yet"
	default:
		return ""
	}
}

// checkMaximum says whether exp is within the bound: empty, ExpirationTooFar
// (also when there is no exp) or ExpirationNotNumber, on which Lua's
// arithmetic fails.
func checkMaximum(claims object, bound float64, now time.Time) Reason {
	if bound <= 0 {
		return ""
	}
	exp, present := claims["exp"]
	if !present {
		return ExpirationTooFar
	}
	var seconds float64
	switch v := exp.(type) {
	case json.Number:
		seconds = toFloat(string(v))
	case string: // Lua subtracts from text that reads as a number
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil {
			return ExpirationNotNumber
		}
		seconds = n
	default:
		return ExpirationNotNumber
	}
	if seconds-float64(now.Unix()) > bound {
		return ExpirationTooFar
	}
	return ""
}

// toFloat reads a JSON number; beyond float64 it is infinite, as strtod has it.
func toFloat(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}
