package jwks_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
)

func TestPolicyOfURLs(t *testing.T) {
	below := jwks.Policy{URLs: []string{"https://login.example.com/tenant-a/"}}
	exact := jwks.Policy{URLs: []string{"https://login.example.com/keys?app=1", "http://plain.example.com/keys"}}
	cases := map[string]struct {
		policy jwks.Policy
		url    string
		taken  bool
	}{
		"https":                        {jwks.Policy{}, "https://login.example.com/keys", true},
		"http":                         {jwks.Policy{}, "http://login.example.com/keys", false},
		"http, allowed":                {jwks.Policy{AllowHTTP: true}, "http://login.example.com/keys", true},
		"file":                         {jwks.Policy{AllowHTTP: true}, "file:///etc/passwd", false},
		"no host":                      {jwks.Policy{}, "https:///keys", false},
		"a password":                   {jwks.Policy{}, "https://me:it@login.example.com/keys", false},
		"no URL":                       {jwks.Policy{}, "https://login.example.com/%zz", false},
		"below":                        {below, "https://login.example.com/tenant-a/keys", true},
		"below, in another spelling":   {below, "HTTPS://LOGIN.example.com.:443/tenant-a/keys?x=1", true},
		"beside":                       {below, "https://login.example.com/tenant-b/keys", false},
		"beside, by dots":              {below, "https://login.example.com/tenant-a/../tenant-b/keys", false},
		"beside, by encoded dots":      {below, "https://login.example.com/tenant-a/%2e%2E/tenant-b/keys", false},
		"beside, by an encoded slash":  {below, "https://login.example.com/tenant-a/..%2ftenant-b/keys", false},
		"beside, by a backslash":       {below, `https://login.example.com/tenant-a/..\tenant-b/keys`, false},
		"a longer name of a folder":    {below, "https://login.example.com/tenant-ab/keys", false},
		"another host":                 {below, "https://login.example.com.evil.example/tenant-a/keys", false},
		"another port":                 {below, "https://login.example.com:8443/tenant-a/keys", false},
		"exact":                        {exact, "https://login.example.com/keys?app=1", true},
		"exact, another query":         {exact, "https://login.example.com/keys?app=2", false},
		"exact, below":                 {exact, "https://login.example.com/keys/x?app=1", false},
		"named with http, not allowed": {exact, "http://plain.example.com/keys", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := c.policy.Check(c.url)
			if (err == nil) != c.taken {
				t.Fatalf("Check(%s) = %v, taken should be %v", c.url, err, c.taken)
			}
			if err != nil && !errors.Is(err, jwks.ErrRefused) {
				t.Errorf("%v is not ErrRefused", err)
			}
		})
	}
}

func TestPolicyOfAddresses(t *testing.T) {
	for address, taken := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700:4700::1111": true, "64:ff9b::808:808": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "::": false,
		"10.1.2.3": false, "172.31.255.255": false, "192.168.0.1": false, "64:ff9b::a01:203": false,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false,
		"100.64.0.1": false, "100.127.255.255": false, "100.128.0.1": true,
		"192.0.0.170": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.7": false, "203.0.113.9": false,
		"224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false, "ff02::1": false,
		"2001:db8::1": false, "2002:7f00:1::": false, "2001::1": false, "3fff::1": false, "64:ff9b:1::1": false, "2001:4860:4860::8888": true,
	} {
		err := jwks.Policy{}.CheckAddress(netip.MustParseAddr(address))
		if (err == nil) != taken {
			t.Errorf("%s: %v, taken should be %v", address, err, taken)
		}
		if err != nil && strings.Contains(err.Error(), address) {
			t.Errorf("the message tells the address %s: %v", address, err)
		}
		if err := (jwks.Policy{AllowPrivateAddresses: true}).CheckAddress(netip.MustParseAddr(address)); err != nil {
			t.Errorf("%s, where all are allowed: %v", address, err)
		}
	}
}
