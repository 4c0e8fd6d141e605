// Package testenv starts the API servers that tests and the demo run on.
//
// [Start] is etcd and kube-apiserver with our CustomResourceDefinitions: what a
// controller needs, and nothing that collects garbage or deletes namespaces.
// [StartControlPlane] is the whole of it, with those controllers.
//
// Neither compiles anything: `make control-plane` does, into a cache outside the
// checkout, and this package asks hack/control-plane.sh where that is. Tests
// never touch a cluster that a kubeconfig of the machine names.
//
// Importing this package registers controller-runtime's -kubeconfig with the
// global flag set; programs with flags of that name need a FlagSet of their own.
package testenv
