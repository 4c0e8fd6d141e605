// Package router says which route of a Kong a request is: the traditional_compatible router of
// Kong Gateway 3.9.3, as a pure function. Route, Service and Request hold what it looks at.
//
// Known differences: paths and headers that are expressions are compiled as Go's regular expressions; a
// route with one that Go does not know is left out.
package router
