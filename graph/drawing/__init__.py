"""Drawings of graphs: collapsed to boxes, laid out in layers, written as SVG, DOT or Mermaid."""
