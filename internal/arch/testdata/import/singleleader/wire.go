package singleleader

import _ "github.com/vmihailenco/msgpack/v5"
