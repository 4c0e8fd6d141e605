package controllers_test

import "github.com/kongjwt/kong-jwt-operator/api/v1alpha1"

// of makes a manifest of a kind, named after its mistake.
func of(kind, spec string) string {
	return "apiVersion: kongjwt.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: orders}\nspec:\n  " + indent(spec, "  ")
}

func consumerOf(spec string) string { return of(v1alpha1.KindJwtConsumer, spec) }

func serviceOf(spec string) string { return of(v1alpha1.KindJwtProtectedService, spec) }

// secretOf makes a Secret that a credential named orders may use.
func secretOf(data string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: orders-jwt}\nstringData:\n  " + indent(data, "  ") + "\n---\n"
}

const (
	fromSecret = "credentials: [{name: primary, algorithm: HS256, secretRef: {name: orders-jwt}}]"
	fromPEM    = "credentials: [{name: primary, algorithm: ES256, secretRef: {name: orders-jwt}}]"
	generated  = "credentials: [{name: primary, algorithm: HS256, generate: {secretName: orders-jwt}}]"
	upstream   = "upstream: {url: http://127.0.0.1:9}\n"
	routed     = upstream + "routes: [{name: api, paths: [/orders]}]\n"
)

var refusedMistakes = []mistake{
	{"A field that there is not", consumerOf("secretName: orders-jwt\n" + generated), refused},
	{"A duration in days", consumerOf("credentials: [{name: primary, algorithm: HS256, generate: {secretName: orders-jwt, rotation: {interval: 30d}}}]"), refused},
	{"An algorithm that Kong does not know", consumerOf("credentials: [{name: primary, algorithm: HS265, generate: {secretName: orders-jwt}}]"), refused},
	{"A credential from two sources", consumerOf("credentials: [{name: primary, algorithm: HS256, generate: {secretName: orders-jwt}, secretRef: {name: a}}]"), refused},
	{"A credential from nowhere", consumerOf("credentials: [{name: primary, algorithm: HS256}]"), refused},
	{"A reserved group", consumerOf("groups: ['kongjwt:pay']\n" + generated), refused},
	{"A method in small letters", serviceOf(upstream + "routes: [{name: api, methods: [get]}]"), refused},
	{"A path without a slash", serviceOf(upstream + "routes: [{name: api, paths: [orders]}]"), refused},
	{"A route that matches on nothing", serviceOf(upstream + "routes: [{name: api}]"), refused},
	{"An upstream without a scheme", serviceOf("upstream: {url: 'orders.shop.svc:80'}"), refused},
	{"An upstream with a user and a password", serviceOf("upstream: {url: 'http://me:pw@a.example.com'}"), refused},
	{"Neither upstream nor attachTo", serviceOf("routes: [{name: api, paths: [/orders]}]"), refused},
	{"An SNI on a route for plain http too", serviceOf(upstream + "routes: [{name: api, snis: [a.example.com]}]"), refused},
	{"A Host among the headers", serviceOf(upstream + "routes: [{name: api, headers: {Host: [a.example.com]}}]"), refused},
	{"The acl plugin beside access", serviceOf(routed + "access: {groups: [a]}\nplugins: [{name: a, plugin: acl}]"), refused},
	{"A plugin on a route that there is not", serviceOf(routed + "plugins: [{name: c, plugin: cors, route: web}]"), refused},
	{"A gateway with two addresses", of(v1alpha1.KindKongGateway,
		"adminAPI: {url: 'http://kong:8001', serviceRef: {namespace: kong, name: kong-admin, port: 8001}}"), refused},
}

var consumerMistakes = []mistake{
	{"A Secret that does not exist", consumerOf(fromSecret), v1alpha1.ConditionStalled},
	{"A Secret whose key has another name", secretOf("password: an-hmac-secret-of-32-bytes-or-so") + consumerOf(fromSecret), v1alpha1.ConditionStalled},
	{"An empty secret", secretOf("secret: ''") + consumerOf(fromSecret), v1alpha1.ConditionStalled},
	{"A short secret", secretOf("secret: s3cr3t") + consumerOf(fromSecret), v1alpha1.ConditionWeakSecret},
	{"A public key for an algorithm with a shared secret", secretOf("secret: <a public key of P-256 in PEM>") + consumerOf(fromSecret), v1alpha1.ConditionStalled},
	{"A key for another algorithm", secretOf("public.pem: <a public key of P-256 in PEM>") +
		consumerOf("credentials: [{name: primary, algorithm: RS256, secretRef: {name: orders-jwt}}]"), v1alpha1.ConditionStalled},
	{"A private key where the public one belongs", secretOf("public.pem: <a private key in PEM>") + consumerOf(fromPEM), v1alpha1.ConditionStalled},
	{"A key whose lines are indented", secretOf("public.pem: <a key in PEM, each line indented>") + consumerOf(fromPEM), v1alpha1.ConditionStalled},
	{"A key in quotes", secretOf("public.pem: <a key in PEM, in quotes>") + consumerOf(fromPEM), v1alpha1.ConditionStalled},
	{"A key in one line", secretOf("public.pem: <a key in PEM, in one line>") + consumerOf(fromPEM), v1alpha1.ConditionStalled},
	{"A key that is cut off", secretOf("public.pem: <half a key in PEM>") + consumerOf(fromPEM), v1alpha1.ConditionStalled},
	{"A gateway that does not exist", consumerOf("gatewayRef: {name: kogn}\n" + generated), v1alpha1.ConditionStalled},
	{"A username of another namespace", consumerOf("username: pay.orders\n" + generated), v1alpha1.ConditionStalled},
	{"A plugin that the gateway does not allow on consumers", consumerOf("plugins: [{name: f, plugin: pre-function}]\n" + generated), v1alpha1.ConditionStalled},
	{"A setting that a plugin does not have", consumerOf("plugins: [{name: c, plugin: rate-limiting, config: {minutes: 5}}]\n" + generated), v1alpha1.ConditionStalled},
	{"An issuer's key set over plain http", consumerOf("credentials: [{name: idp, jwks: {url: 'http://idp.example.com/keys'}}]"), v1alpha1.ConditionStalled},
}

var serviceMistakes = []mistake{
	{"A consumer that nobody is", serviceOf(routed + "access: {consumers: [{name: nobdy}]}"), v1alpha1.ConditionAccessIncomplete},
	{"A group that nobody has", serviceOf(routed + "access: {groups: [client]}"), v1alpha1.ConditionAccessIncomplete},
	{"An anonymous consumer that there is not", serviceOf(routed + "jwt: {anonymous: '{{shop}}.guest'}"), v1alpha1.ConditionAccessIncomplete},
	{"No routes", serviceOf(upstream), v1alpha1.ConditionRoutesIncomplete},
	{"A star in a path", serviceOf(upstream + "routes: [{name: api, paths: ['/orders/*']}]"), v1alpha1.ConditionRoutesIncomplete},
	{"A regular expression without ~", serviceOf(upstream + `routes: [{name: api, paths: ['/orders/\d+']}]`), v1alpha1.ConditionRoutesIncomplete},
	{"A host in capitals", serviceOf(upstream + "routes: [{name: api, hosts: [API.example.com]}]"), v1alpha1.ConditionRoutesIncomplete},
	{"A host with a final dot", serviceOf(upstream + "routes: [{name: api, hosts: [api.example.com.]}]"), v1alpha1.ConditionRoutesIncomplete},
	{"cors without OPTIONS", serviceOf(upstream + "routes: [{name: api, hosts: [api.example.com], paths: [/orders], methods: [GET]}]\nplugins: [{name: c, plugin: cors}]"),
		v1alpha1.ConditionRoutesIncomplete},
	{"A regular expression that the gateway does not allow", serviceOf(upstream + "routes: [{name: api, paths: ['~/orders$']}]"), v1alpha1.ConditionStalled},
	{"A Service that does not exist", serviceOf("upstream: {serviceRef: {name: odrers, port: 80}}\nroutes: [{name: api, paths: [/orders]}]"), v1alpha1.ConditionStalled},
	{"A port that the Service does not have", "apiVersion: v1\nkind: Service\nmetadata: {name: orders}\nspec: {ports: [{port: 8080}]}\n---\n" +
		serviceOf("upstream: {serviceRef: {name: orders, port: 80}}\nroutes: [{name: api, paths: [/orders]}]"), v1alpha1.ConditionStalled},
	{"An upstream that the gateway does not allow", serviceOf("upstream: {url: 'http://10.0.0.1:80'}\nroutes: [{name: api, paths: [/orders]}]"), v1alpha1.ConditionStalled},
	{"A plugin that Kong does not run", serviceOf(routed + "plugins: [{name: x, plugin: corss}]"), v1alpha1.ConditionStalled},
	{"A plugin without a setting that it needs", serviceOf(routed + "plugins: [{name: x, plugin: http-log}]"), v1alpha1.ConditionStalled},
	{"A target that Kong does not have", serviceOf("attachTo: {serviceName: orders}"), v1alpha1.ConditionStalled},
	{"A route that another service has", `apiVersion: kongjwt.dev/v1alpha1
kind: JwtProtectedService
metadata: {name: first}
spec: {upstream: {url: http://127.0.0.1:9}, routes: [{name: api, paths: [/orders]}]}
---
` + serviceOf(routed), v1alpha1.ConditionStalled},
}

const tokenFor = "consumerRef: {name: worker, credential: primary}\nsecretName: orders-token\n"

// worker is a consumer that tokens may be for.
const worker = `apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {name: worker}
spec: {credentials: [{name: primary, algorithm: HS256, generate: {secretName: worker-jwt}}]}
---
`

var tokenMistakes = []mistake{
	{"A consumer that there is not", of(v1alpha1.KindJwtToken, tokenFor), v1alpha1.ConditionStalled},
	{"A credential that the consumer does not have", worker +
		of(v1alpha1.KindJwtToken, "consumerRef: {name: worker, credential: second}\nsecretName: orders-token\n"), v1alpha1.ConditionStalled},
	{"A token that lives longer than a service takes", worker + `apiVersion: kongjwt.dev/v1alpha1
kind: JwtProtectedService
metadata: {name: strict}
spec:
  upstream: {url: http://127.0.0.1:9}
  routes: [{name: api, paths: [/strict]}]
  jwt: {claimsToVerify: [exp], maximumExpiration: 1h}
---
` + of(v1alpha1.KindJwtToken, tokenFor+"ttl: 24h"), v1alpha1.ConditionTTLTooLong},
}
