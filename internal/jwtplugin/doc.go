// Package jwtplugin is the decision that Kong's jwt plugin takes on a request,
// as a pure function: no I/O, no clock of its own, no Kong entity types.
//
// It follows Kong Gateway 3.9.3 (kong/plugins/jwt/handler.lua and
// jwt_parser.lua), including what that plugin answers to input it does not
// expect: several malformed tokens are answered 500 by Kong, and so they are
// here. The texts of refusals are Kong's, byte for byte.
//
// Known differences: JSON is decoded by Go's rules, which are stricter than
// lua-cjson's (no NaN, no hexadecimal numbers, no raw control characters in
// strings); Ed448 keys and RSA keys under 1024 bits cannot be used.
package jwtplugin
