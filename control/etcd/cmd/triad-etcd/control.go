package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// kind is the control that this binary has besides those of the plain one.
var kind = config.ControlKind{Name: "etcd", New: func() config.ControlOptions { return &control{} }}

// control are the keys of the section control with kind etcd; etcd.Options says what
// they mean.
type control struct {
	Endpoints      []string        `yaml:"endpoints"`
	Prefix         string          `yaml:"prefix" default:"/triad"`
	ClusterID      string          `yaml:"cluster_id"` // hexadecimal, as etcdctl shows it
	TLS            certificates    `yaml:"tls"`
	Username       string          `yaml:"username"`
	PasswordFile   string          `yaml:"password_file"`
	Password       string          `yaml:"password,secret"`
	DialTimeout    config.Duration `yaml:"dial_timeout" default:"3s"`
	RequestTimeout config.Duration `yaml:"request_timeout" default:"2s"`
	Lease          config.Duration `yaml:"lease" default:"10s"`
	Review         config.Duration `yaml:"review" default:"30s"`
}

// certificates name files in PEM: of who signed etcd's certificates, and of the one that
// this node shows.
type certificates struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// place is where the documents of a cluster stand: sites that all write have one each.
func (c *control) place(at *config.ControlPlace) (prefix, cluster string) {
	if at.Site == "" {
		return c.Prefix, at.Cluster
	}
	return c.Prefix + "/" + at.Cluster, at.Site
}

// secured reports whether etcd is reached by TLS.
func (c *control) secured() bool {
	for _, e := range c.Endpoints {
		if strings.HasPrefix(e, "https://") {
			return true
		}
	}
	return c.TLS != certificates{}
}

// Check implements config.ControlOptions.
func (c *control) Check(at *config.ControlPlace) {
	wrong := func(key string, o etcd.Options) {
		if err := o.Check(); err != nil && !at.Faulty(key) {
			at.Fault(key, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	switch n := len(c.Endpoints); {
	case n == 0 && !at.Faulty("endpoints"):
		at.Fault("endpoints", "the members of etcd are missing; name all of them, as in control: {kind: etcd, endpoints: [127.0.0.1:2379]}")
	case n > etcd.EndpointsMax:
		at.Fault("endpoints", "%d are more than %d", n, etcd.EndpointsMax)
	default:
		c.checkEndpoints(at)
	}
	var o etcd.Options
	o.Prefix, o.Cluster = c.place(at)
	wrong("prefix", o)
	wrong("lease", etcd.Options{LeaseTTL: time.Duration(c.Lease)})
	if _, err := c.clusterID(); err != nil {
		at.Fault("cluster_id", "%v", err)
	}
	switch named := c.PasswordFile != "" || c.Password != ""; {
	case c.Username == "" && named:
		at.Fault("password_file", "whose password it is is missing: name a user, as in username: triad")
	case c.Username != "" && !named:
		at.Fault("username", "the password of %.64q is missing: name a file that holds it with password_file", c.Username)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		at.Fault("tls", "a certificate and its key come together: tls: {ca: ca.pem, cert: node.pem, key: node.key}")
	}
}

// checkEndpoints checks each address, and whether it fits what is said of TLS.
func (c *control) checkEndpoints(at *config.ControlPlace) {
	var secured *tls.Config
	if c.secured() {
		secured = &tls.Config{}
	}
	first := map[string]int{}
	for i, e := range c.Endpoints {
		if err := (etcd.Options{Endpoints: []string{e}, TLS: secured}).Check(); err != nil {
			at.FaultAt("endpoints", i, "%v", err)
		}
		if j, twice := first[e]; twice {
			at.FaultAt("endpoints", i, "%s stands here twice; the first is number %d", e, j+1)
		} else {
			first[e] = i
		}
	}
}

// clusterID is etcd's own id of its cluster; 0 takes the one that answers first.
func (c *control) clusterID() (uint64, error) {
	if c.ClusterID == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(c.ClusterID, 16, 64)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("%.64q is no id of a cluster of etcd: `etcdctl endpoint status -w fields` shows it, and this is it in hexadecimal, in quotes", c.ClusterID)
	}
	return id, nil
}

// Open implements config.ControlOptions.
func (c *control) Open(at *config.ControlPlace) topology.ControlBuilder {
	o := etcd.Options{
		Endpoints: c.Endpoints, Username: c.Username, DialTimeout: time.Duration(c.DialTimeout),
		RequestTimeout: time.Duration(c.RequestTimeout), LeaseTTL: time.Duration(c.Lease), Review: time.Duration(c.Review),
	}
	o.Prefix, o.Cluster = c.place(at)
	o.ClusterID, _ = c.clusterID() // it was checked
	if o.Password = etcd.Secret(c.Password); o.Password == "" {
		o.Password = etcd.Secret(at.Secret("password_file", c.PasswordFile))
	}
	if c.secured() {
		o.TLS = c.TLS.open(at)
	}
	return etcd.New(o)
}

// open reads the files. The certificate is read again at every handshake, so that a new
// one needs no restart.
func (f certificates) open(at *config.ControlPlace) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		t.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			at.Fault("tls.ca", "%v", err)
		case !t.RootCAs.AppendCertsFromPEM(pem):
			at.Fault("tls.ca", "%s holds no certificate in PEM", f.CA)
		}
	}
	if f.Cert == "" {
		return t
	}
	load := func() (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		return &c, err
	}
	if _, err := load(); err != nil {
		at.Fault("tls.cert", "%v", err)
	}
	t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return t
}

// Describe implements config.ControlOptions.
func (c *control) Describe(at *config.ControlPlace) string {
	prefix, cluster := c.place(at)
	says := fmt.Sprintf("below %s/%s/ at %s", prefix, cluster, strings.Join(c.Endpoints, ", "))
	if c.secured() {
		says += ", by TLS"
	}
	return says
}
