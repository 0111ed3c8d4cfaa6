# The function in a VPC without a way to the internet: S3 through a gateway endpoint, which costs nothing; SQS through an
# interface endpoint, which costs some 7 USD a month in each availability zone, and STS likewise if roles are assumed.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }
}

provider "aws" {
  region = "us-west-2"
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in it, for the function and the endpoint."
  type        = list(string)
}

variable "route_table_ids" {
  description = "The route tables of these subnets."
  type        = list(string)
}

resource "aws_security_group" "roller" {
  name        = "s3-log-roller"
  description = "The S3 access log roller: it reaches out by HTTPS and nobody reaches it"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.roller.id
  description       = "To S3, SQS and STS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.us-west-2.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
}

resource "aws_security_group" "endpoint" {
  name        = "s3-log-roller-endpoint"
  description = "The endpoint of SQS: the roller reaches it by HTTPS"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  security_group_id            = aws_security_group.endpoint.id
  description                  = "From the roller"
  referenced_security_group_id = aws_security_group.roller.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_endpoint" "sqs" {
  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.us-west-2.sqs"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.endpoint.id]
}

module "s3_log_roller" {
  source = "../.."

  zip_path           = "../../../../dist/s3-log-roller-lambda-arm64.zip"
  subnet_ids         = var.subnet_ids
  security_group_ids = [aws_security_group.roller.id]

  schedules = {
    daily = { prefixes = ["s3://my-access-logs/"] }
  }
}
